"""What an input is that no reader makes sense of, as far as its first bytes tell."""

import codecs
from typing import BinaryIO

_FORMS = (
    (codecs.BOM_UTF16_LE, "It is text in UTF-16: save it as UTF-8."),
    (codecs.BOM_UTF16_BE, "It is text in UTF-16: save it as UTF-8."),
    (b"PK\x03\x04", "It is a ZIP archive or an Excel workbook: unpack it, or save the table as CSV."),
    (b"<", "It is a web page or XML."),
)


def what_it_is(file: BinaryIO) -> str:
    """A sentence for an error message. The file is read from its beginning."""
    file.seek(0)
    start = file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()
    if not start:
        return "The input is empty."
    for magic, sentence in _FORMS:
        if start.startswith(magic):
            return sentence
    if b"\r" in start and b"\n" not in start:
        return "Its lines end with a carriage return alone: save it with the line ends of Unix or Windows."
    return "Is it another source's file?"
