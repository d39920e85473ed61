"""What tests ask of a page: its elements in order, whether each that opens is closed, and what a reader cannot hear."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """`elements` are (tag, attributes) in order; `wrong` are tags that close what is not open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.wrong = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def unheard(self):
        """What a screen reader could not tell: pictures without words, headings of tables without a direction, …"""
        ids = set(self.ids())
        found = []
        for tag, attributes in self.elements:
            named = attributes.get("aria-labelledby", "").split()
            if tag == "svg" and not (attributes.get("role") == "img" and named):
                found.append("a drawing without words")
            if tag == "img" and not attributes.get("alt"):
                found.append("a photo without words")
            if tag == "th" and attributes.get("scope") not in {"col", "row", "colgroup"}:
                found.append("a heading of a table without its direction")
            if tag in {"section", "nav"} and not (named or attributes.get("aria-label")):
                found.append(f"a {tag} without a name")
            found += [f"no element has the id {name}" for name in named if name not in ids]
        found += [f"{len(self.all(tag))} {tag}" for tag in ("header", "main", "footer") if len(self.all(tag)) != 1]
        if len(self.all("caption")) != len(self.all("table")):
            found.append("a table without a caption")
        if not self.all("html")[0].get("lang"):
            found.append("a page without a language")
        return found
