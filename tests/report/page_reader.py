"""A page as a reader sees it: tables as text, all words, every tag."""

from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass
class Table:
    """A table as a reader sees it: rows of cell texts; the parts of a cell joined by a space."""

    caption: str
    rows: list[list[str]]

    def row(self, title: str) -> list[str]:
        (found,) = [row for row in self.rows if row and row[0] == title]
        return found


class Reader(HTMLParser):
    """Collects tables, link targets, and every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[Table] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append(Table("", []))
        elif tag == "tr" and self.tables:
            self.tables[-1].rows.append([])
        elif tag in ("td", "th"):
            self.tables[-1].rows[-1].append("")
        if tag in ("td", "th", "caption", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        where = self._inside[-1] if self._inside else ""
        if where == "style":
            return
        self.words.append(data)
        if where == "caption":
            self.tables[-1].caption += data
        elif where and data.strip():
            cells = self.tables[-1].rows[-1]
            cells[-1] = f"{cells[-1]} {data.strip()}".strip()

    def table(self, start: str) -> Table:
        """The one table whose caption begins like this."""
        (found,) = [table for table in self.tables if table.caption.startswith(start)]
        return found

    def texts(self) -> str:
        """All words of the page, white space made single."""
        return " ".join(" ".join(self.words).split())
