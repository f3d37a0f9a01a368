"""Postfix's pcre: and regexp: tables, read and asked as Postfix 3.7 does (pcre_table(5), regexp_table(5))."""
