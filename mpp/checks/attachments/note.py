"""The note that stands in the place of a file that was taken out of a mail: as text, and as HTML where the mail has HTML.

Whatever comes from outside (the file's name) is escaped. Languages stand one below the other, in the order of the settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape

from mpp.checks.attachments.settings import Language
from mpp.mail.escape import printable
from mpp.mail.replacing import encoded_part

_NAME, _SHOWN = 150, 20  # characters of one name, files of one note
_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "removed": "An attachment was removed from this message.",
        "cleaned": "The macros of an attachment were removed.",
        "flattened": "All attachments were removed from this message.",
        "name": "Name",
        "size": "Size",
        "octets": "bytes",
        "reason": "Reason",
        "id": "Message number",
        "more": "and {count} more",
        "ask": "The original is kept in quarantine. To ask for it write to {contact} and name the message number.",
        "encrypted": "it is encrypted and cannot be examined",
        "macro": "it contains macros",
        "executable": "it is or contains a program",
        "script": "it is or contains a script",
        "bomb": "it grows without measure when unpacked",
        "unsafe-name": "its name is deceptive",
        "mismatch": "its content is not what its name says",
        "damaged": "it is damaged and cannot be examined",
        "active": "it contains active content",
        "unchecked": "it could not be examined",
        "type": "files of this type are not accepted",
        "file-name": "files with this name are not accepted",
        "too-large": "it is too large",
        "list": "files of this kind are not accepted",
        "all": "attachments are not accepted here",
    },
    "de": {
        "removed": "Aus dieser Nachricht wurde ein Anhang entfernt.",
        "cleaned": "Aus einem Anhang wurden die Makros entfernt.",
        "flattened": "Aus dieser Nachricht wurden alle Anhänge entfernt.",
        "name": "Name",
        "size": "Größe",
        "octets": "Bytes",
        "reason": "Grund",
        "id": "Nachrichtennummer",
        "more": "und {count} weitere",
        "ask": "Das Original liegt in der Quarantäne. Um es anzufordern, schreiben Sie an {contact} und nennen Sie die Nachrichtennummer.",
        "encrypted": "er ist verschlüsselt und kann nicht geprüft werden",
        "macro": "er enthält Makros",
        "executable": "er ist oder enthält ein Programm",
        "script": "er ist oder enthält ein Skript",
        "bomb": "er wächst beim Entpacken ins Unermessliche",
        "unsafe-name": "sein Name ist irreführend",
        "mismatch": "sein Inhalt ist nicht, was sein Name sagt",
        "damaged": "er ist beschädigt und kann nicht geprüft werden",
        "active": "er enthält aktive Inhalte",
        "unchecked": "er konnte nicht geprüft werden",
        "type": "Dateien dieses Typs werden nicht angenommen",
        "file-name": "Dateien dieses Namens werden nicht angenommen",
        "too-large": "er ist zu groß",
        "list": "Dateien dieser Art werden nicht angenommen",
        "all": "Anhänge werden hier nicht angenommen",
    },
    "fr": {
        "removed": "Une pièce jointe a été retirée de ce message.",
        "cleaned": "Les macros d'une pièce jointe ont été retirées.",
        "flattened": "Toutes les pièces jointes ont été retirées de ce message.",
        "name": "Nom",
        "size": "Taille",
        "octets": "octets",
        "reason": "Raison",
        "id": "Numéro du message",
        "more": "et {count} autres",
        "ask": "L'original est conservé en quarantaine. Pour le demander, écrivez à {contact} en indiquant le numéro du message.",
        "encrypted": "elle est chiffrée et ne peut être examinée",
        "macro": "elle contient des macros",
        "executable": "elle est ou contient un programme",
        "script": "elle est ou contient un script",
        "bomb": "elle grossit démesurément à la décompression",
        "unsafe-name": "son nom est trompeur",
        "mismatch": "son contenu n'est pas ce que dit son nom",
        "damaged": "elle est endommagée et ne peut être examinée",
        "active": "elle contient du contenu actif",
        "unchecked": "elle n'a pas pu être examinée",
        "type": "les fichiers de ce type ne sont pas acceptés",
        "file-name": "les fichiers portant ce nom ne sont pas acceptés",
        "too-large": "elle est trop volumineuse",
        "list": "les fichiers de cette sorte ne sont pas acceptés",
        "all": "les pièces jointes ne sont pas acceptées ici",
    },
    "es": {
        "removed": "Se ha retirado un archivo adjunto de este mensaje.",
        "cleaned": "Se han retirado las macros de un archivo adjunto.",
        "flattened": "Se han retirado todos los archivos adjuntos de este mensaje.",
        "name": "Nombre",
        "size": "Tamaño",
        "octets": "bytes",
        "reason": "Motivo",
        "id": "Número del mensaje",
        "more": "y {count} más",
        "ask": "El original se conserva en cuarentena. Para solicitarlo, escriba a {contact} e indique el número del mensaje.",
        "encrypted": "está cifrado y no se puede examinar",
        "macro": "contiene macros",
        "executable": "es o contiene un programa",
        "script": "es o contiene un script",
        "bomb": "crece sin medida al descomprimirse",
        "unsafe-name": "su nombre es engañoso",
        "mismatch": "su contenido no es lo que dice su nombre",
        "damaged": "está dañado y no se puede examinar",
        "active": "contiene contenido activo",
        "unchecked": "no se ha podido examinar",
        "type": "no se aceptan archivos de este tipo",
        "file-name": "no se aceptan archivos con este nombre",
        "too-large": "es demasiado grande",
        "list": "no se aceptan archivos de esta clase",
        "all": "aquí no se aceptan archivos adjuntos",
    },
}
_CAUSES = {"name": "file-name", "size": "too-large"}  # of a Ruling, where the words are others'


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that the note is about. `reason`: the operator's own words, or else the cause of a Ruling is told."""

    name: str
    size: int  # octets
    cause: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """What all notes of one message have in common."""

    languages: Sequence[Language]
    id: str  # of the message
    contact: str
    html: bool  # the mail has HTML

    def part(self, what: str, files: Sequence[Taken]) -> tuple[bytes, bytes]:
        """Return header and body of the part. `what`: "removed", "cleaned" or "flattened"."""
        told = [self._paragraph(language, what, files) for language in self.languages]
        text = "\n\n".join("\n".join(lines) for lines in told) + "\n"
        plain = encoded_part("text/plain; charset=utf-8", text.encode("utf-8", "replace"))
        if not self.html:
            return plain
        page = "".join(f"<p>{'<br>'.join(escape(line) for line in lines)}</p>" for lines in told)
        marked = f'<!DOCTYPE html><html><body><div style="border:1px solid;padding:1em">{page}</div></body></html>\n'
        page_part = encoded_part("text/html; charset=utf-8", marked.encode("utf-8", "replace"))
        return _alternative(sha256(f"{self.id} {text}".encode("utf-8", "replace")).hexdigest()[:32], plain, page_part)

    def _paragraph(self, language: Language, what: str, files: Sequence[Taken]) -> list[str]:
        words = _WORDS[language]
        lines = [words[what], ""]
        for file in files[:_SHOWN]:
            reason = file.reason or words[_CAUSES.get(file.cause, file.cause)]
            lines.append(f"{words['name']}: {printable(file.name, _NAME)}")
            lines.append(f"{words['size']}: {file.size} {words['octets']}")
            lines.append(f"{words['reason']}: {printable(reason, 200)}")
        if len(files) > _SHOWN:
            lines.append(words["more"].format(count=len(files) - _SHOWN))
        lines += [f"{words['id']}: {self.id}", "", words["ask"].format(contact=self.contact)]
        return lines


def _alternative(secret: str, *parts: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return a multipart/alternative of parts. The message's number is in `secret`: its sender cannot know the boundary."""
    boundary = b"=_" + secret.encode("ascii")
    header = b'Content-Type: multipart/alternative; boundary="%b"\r\n' % boundary
    pieces = [b"--%b\r\n%b\r\n%b" % (boundary, *part) for part in parts]
    return header, b"".join(pieces) + b"--%b--\r\n" % boundary
