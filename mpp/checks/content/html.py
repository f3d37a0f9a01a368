"""HTML as the text that a reader sees, as far as a filter needs it, with what is hidden left out; and the addresses in it.

By selectolax (lexbor, a browser's parser): entities, broken tags and comments are its work. Hidden is what style or attribute of
an element itself say: not displayed, invisible, zero or tiny letters, fully transparent; style sheets are not followed.
Words that elements cut in two (V<b></b>iagra) are whole again; blocks begin a line. Never raises on any text.
"""

import re
from functools import lru_cache

import pcre2
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from mpp.checks.content import pcre
from mpp.checks.content.engine import Expression, Search

MOST = 1 << 20  # characters looked at
_DEEPEST = 2000  # elements open at a time; a parser of trees would have to hold them all
_BLOCK = pcre2.compile(  # by its machine code a tenth of what re needs
    r"<(?=/?(?:p|div|br|td|th|tr|li|h[1-6]|table|ul|ol|dl|dd|dt|hr|title|center|blockquote|pre|option)\b)",
    pcre2.IGNORECASE | pcre2.ASCII,
)
_OPENING = re.compile(r"<(?!(?:br|img|input|meta|link|hr|area|base|col|wbr|p|li|td|tr|th|option)\b)[a-z]", re.I)
_NEVER_SHOWN = "script,style,template,noscript,[hidden]"
_HIDES = re.compile(
    r"(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*(?:0|0?\.\d+|1(?:\.\d+)?)(?:px|pt|em|rem|%|\b)(?!\.)"
    r"|(?<![-\w])opacity\s*:\s*0*(?:\.0+)?(?![.\d])|mso-hide\s*:\s*all"
    r"|max-height\s*:\s*0(?![.\d])|(?<![-\w])(?:width|height)\s*:\s*0(?:px)?\s*(?:;|$))",
    re.IGNORECASE,
)
# Wider, for the source, where a style may hold comments and entities: most pages have none of it.
_MAY_HIDE = Expression(
    rb"display\s*:\s*none|visibility\s*:\s*[hc]|font-size\s*:\s*[01.]|opacity\s*:\s*[0.]|mso-hide|max-height\s*:\s*0"
    rb"|(?:width|height)\s*:\s*0|style\s*=[^>]*[&\\]|style\s*=[^>]*/\*",
    pcre.CASELESS,
)
_ADDRESSED = "[href],[src],[action],[background]"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@lru_cache
def _gate() -> Search:
    return Search([_MAY_HIDE])


def parsed(html: str) -> LexborHTMLParser | None:
    """Return the tree; None for what no tree is made of: elements within elements without end."""
    html = html[:MOST]
    if html.count("<") > _DEEPEST and len(_OPENING.findall(html)) - html.count("</") > _DEEPEST:
        return None
    try:
        return LexborHTMLParser(_BLOCK.sub("\n<", html))
    except SelectolaxError:
        return None


def addresses(tree: LexborHTMLParser) -> list[str]:
    """Return the values of links, pictures and forms, as they stand."""
    found = []
    for node in tree.css(_ADDRESSED):
        attributes = node.attributes
        found += [value for name in ("href", "src", "action", "background") if (value := attributes.get(name))]
    return found


def visible_text(tree: LexborHTMLParser, source: str) -> str:
    """Return what is shown of the tree of `source`. Takes the hidden elements out of it."""
    hidden = tree.css(_NEVER_SHOWN)
    if _gate().candidates(source.encode("utf-8", "replace")):
        hidden += [node for node in tree.css("[style]") if _hides(node.attributes.get("style") or "")]
    for node in hidden:
        if node.tag not in ("html", "body"):
            node.decompose()
    return text_of(tree)


def text_of(tree: LexborHTMLParser) -> str:
    """Return all text of the tree, script and style too where they are still in it."""
    root = tree.root
    return root.text(deep=True) if root is not None else ""


def _hides(style: str) -> bool:
    return _HIDES.search(_COMMENT.sub("", style) if "/*" in style else style) is not None
