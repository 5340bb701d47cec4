"""A look at a page of ours, in a browser that leaves no other host a chance."""

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Request

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
        page.on("pageerror", self._note_exception)
        page.on("console", self._note_message)

    def end(self) -> None:
        """Leave the page, so that the tab is as a new one, but in the process of this host."""
        self.page.remove_listener("request", self._note_foreign)
        self.page.remove_listener("pageerror", self._note_exception)
        self.page.remove_listener("console", self._note_message)
        self.page.evaluate("() => sessionStorage.clear()")
        self.page.goto(f"{self.host}/livez")
        self.page.emulate_media(color_scheme="null")

    def operation(self, tag: str, operation_id: str) -> Locator:
        """An operation in Swagger UI, unfolded by its deep link."""
        self.page.goto(f"{self.host}/docs#/{tag}/{operation_id}")
        return self.page.locator(f"#operations-{tag}-{operation_id}")

    def _note_foreign(self, request: Request) -> None:
        if not request.url.startswith((f"{self.host}/", "data:")):
            self.foreign.append(request.url)

    def _note_exception(self, error: Error) -> None:
        self._note(str(error))

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(message.text)

    def _note(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.errors.append(text)
