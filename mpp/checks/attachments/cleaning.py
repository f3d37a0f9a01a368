"""Takes the VBA project out of an OOXML document (ECMA-376, part 2): its parts, what refers to them, and the types that promise macros.

Called in the confined process. What cannot be done safely is not done: nothing is cleaned that is encrypted, ambiguous or still has
macros afterwards (Excel 4 sheets, documents within), and documents in the older OLE form are not cleaned at all.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Mapping
from urllib.parse import unquote
from xml.etree import ElementTree

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import Cleaned, UnreadableError

_MACRO_PART = re.compile(
    r"(?:^|/)(?:vbaproject[^/]*\.bin|vbadata[^/]*\.xml|attachedtoolbars[^/]*\.bin)$", re.IGNORECASE
)
_MACRO_TYPE = re.compile(r"vba|attachedToolbars", re.IGNORECASE)
_CONTENT, _RELATIONS = "[content_types].xml", ".rels"
_NAMESPACES = (
    "http://schemas.openxmlformats.org/package/2006/content-types",
    "http://schemas.openxmlformats.org/package/2006/relationships",
)
_WORD, _EXCEL, _POINT = (
    f"application/vnd.openxmlformats-officedocument.{each}"
    for each in ("wordprocessingml.", "spreadsheetml.", "presentationml.")
)
# Types of the main part: with macros -> without, and the end of the document's name.
_MAIN: Mapping[str, tuple[str, str]] = {
    "application/vnd.ms-word.document.macroenabled": (f"{_WORD}document", ".docx"),
    "application/vnd.ms-word.template.macroenabledtemplate": (f"{_WORD}template", ".dotx"),
    "application/vnd.ms-excel.sheet.macroenabled": (f"{_EXCEL}sheet", ".xlsx"),
    "application/vnd.ms-excel.template.macroenabled": (f"{_EXCEL}template", ".xltx"),
    "application/vnd.ms-powerpoint.presentation.macroenabled": (f"{_POINT}presentation", ".pptx"),
    "application/vnd.ms-powerpoint.template.macroenabled": (f"{_POINT}template", ".potx"),
    "application/vnd.ms-powerpoint.slideshow.macroenabled": (f"{_POINT}slideshow", ".ppsx"),
}
_PLAIN = dict(_MAIN.values())  # of documents that hide macros behind a plain type


def without_macros(data: bytes, meter: Meter) -> Cleaned:
    """Return the document cleaned. Raises UnreadableError where that cannot be done, and BombError."""
    parts = _parts(data, meter)
    gone = {name for name in parts if _MACRO_PART.search(name) or _about_macros(name)}
    if not gone:
        raise UnreadableError("its macros are in no part of their own")
    made = {name: part for name, part in parts.items() if name not in gone}
    content = next((name for name in made if name.lower() == _CONTENT), "")
    if not content:
        raise UnreadableError("no package")
    made[content], kind = _types(made[content], gone)
    for name in made:
        if name.lower().endswith(_RELATIONS):
            made[name] = _relations(name, made[name], gone)
    return Cleaned(_packed(made), kind, _PLAIN[kind])


def _parts(data: bytes, meter: Meter) -> dict[str, bytes]:
    """Read the package's parts in their order: each once, none encrypted."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            entries = package.infolist()
            meter.announced(sum(entry.file_size for entry in entries))
            if len({entry.filename.lower() for entry in entries}) < len(entries):
                raise UnreadableError("two parts of one name")
            parts: dict[str, bytes] = {}
            for entry in entries:
                meter.budget.entry()
                parts[entry.filename] = package.read(entry)
                meter.take(len(parts[entry.filename]))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError) as error:
        raise UnreadableError(f"package: {error}") from error
    return parts


def _about_macros(name: str) -> bool:
    """True for the relations of a part that goes."""
    folder, _, last = name.rpartition("/")
    owner = last.lower().removesuffix(_RELATIONS)
    return folder.lower().endswith("_rels") and last.lower().endswith(_RELATIONS) and bool(_MACRO_PART.search(owner))


def _tree(part: bytes, namespace: str) -> ElementTree.Element:
    if b"<!DOCTYPE" in part or b"<!ENTITY" in part:
        raise UnreadableError("a document type where none is allowed")
    try:
        root = ElementTree.fromstring(part)  # noqa: S314 (without a document type there are no entities)
    except ElementTree.ParseError as error:
        raise UnreadableError(f"package: {error}") from error
    if not root.tag.startswith(f"{{{namespace}}}"):
        raise UnreadableError("a package of another kind")
    return root


def _written(root: ElementTree.Element, namespace: str) -> bytes:
    """Write a tree with its namespace as the default one, as all that read packages expect."""
    for element in root.iter():
        uri, brace, name = element.tag.rpartition("}")
        if uri != f"{{{namespace}" or not brace:
            raise UnreadableError("elements of another kind")
        element.tag = name
    root.set("xmlns", namespace)
    written: bytes = ElementTree.tostring(root, "UTF-8", xml_declaration=True)
    return written


def _types(part: bytes, gone: set[str]) -> tuple[bytes, str]:
    """Return the list of types without macros, and the type of the whole document."""
    root = _tree(part, _NAMESPACES[0])
    kind = ""
    for element in list(root):
        declared = element.get("ContentType", "")
        place = element.get("PartName", "").lstrip("/")
        if place.lower() in {name.lower() for name in gone} or _MACRO_TYPE.search(declared):
            root.remove(element)
        elif declared.lower().endswith(".main+xml"):
            plain, _ = _MAIN.get(declared[: -len(".main+xml")].lower(), (declared[: -len(".main+xml")], ""))
            element.set("ContentType", f"{plain}.main+xml")
            kind = kind or plain
    if kind not in _PLAIN:
        raise UnreadableError("a document of an unknown kind")
    return _written(root, _NAMESPACES[0]), kind


def _relations(name: str, part: bytes, gone: set[str]) -> bytes:
    """Return relations without those that lead to what goes; octets that need no change come back as they are."""
    root = _tree(part, _NAMESPACES[1])
    folder = posixpath.dirname(posixpath.dirname(name))
    lost = {each.lower() for each in gone}
    out = [element for element in root if _leads_to(element, folder, lost)]
    for element in out:
        root.remove(element)
    return _written(root, _NAMESPACES[1]) if out else part


def _leads_to(element: ElementTree.Element, folder: str, lost: set[str]) -> bool:
    target = unquote(element.get("Target", ""))
    place = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
    return place.lower() in lost or bool(_MACRO_TYPE.search(element.get("Type", "").rpartition("/")[2]))


def _packed(parts: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, part in parts.items():
            package.writestr(zipfile.ZipInfo(name), part, zipfile.ZIP_DEFLATED)
    return target.getvalue()
