"""A look at a page of ours, in a browser that leaves no other host a chance."""

from playwright.sync_api import ConsoleMessage, Locator, Page, Request

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""Makes a page believe that nobody can see it, or that somebody can again."""


class Visit:
    """A look at one host: what its pages asked of other hosts, and the errors they met."""

    def __init__(self, page: Page, host: str) -> None:
        self.page = page
        self.host = host
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of the errors that are right."""
        page.on("request", self._note_foreign)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("console", self._note_error)

    def operation(self, tag: str, operation_id: str) -> Locator:
        """An operation in Swagger UI, unfolded by its deep link."""
        self.page.goto(f"{self.host}/docs#/{tag}/{operation_id}")
        return self.page.locator(f"#operations-{tag}-{operation_id}")

    def _note_foreign(self, request: Request) -> None:
        if not request.url.startswith((f"{self.host}/", "data:")):
            self.foreign.append(request.url)

    def _note_error(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(message.text)

    def _note(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.errors.append(text)
