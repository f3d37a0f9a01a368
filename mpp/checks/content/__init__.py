"""The content filter: rules of the operator over all that a message shows, and Postfix's own tables as they are."""
