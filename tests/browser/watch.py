"""What no page may do: complain, break its policy, fail to load something, or ask anybody else."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response

# Told to the console by the page itself, because Chromium does not report every violation there.
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Watch:
    """Listens to every page of a context and keeps what went wrong."""

    def __init__(self, context: BrowserContext, *, ours: Collection[str]) -> None:
        self.ours = set(ours)
        self.problems: list[str] = []
        self.refused: set[str] = set()  # documents that were answered with 4xx or 5xx
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"page error: {error.error}"))
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)

    def assert_clean(self) -> None:
        """Fail when a page did what no page may."""
        assert not self.problems, "\n".join(self.problems)

    def _console(self, message: ConsoleMessage) -> None:
        is_about_document = (
            message.text.startswith("Failed to load resource") and message.location.get("url") in self.refused
        )
        if message.type in ("error", "warning") and not is_about_document:
            self.problems.append(f"console: {message.text} {message.location}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" not in self.ours:
            self.problems.append(f"foreign request: {request.url}")

    def _failed(self, request: Request) -> None:
        # Leaving a page ends what it was just loading.
        if request.failure != "net::ERR_ABORTED" or request.is_navigation_request():
            self.problems.append(f"failed: {request.url} {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status < 400:
            return
        if response.request.is_navigation_request():
            self.refused.add(response.url)
        else:
            self.problems.append(f"answered {response.status}: {response.url}")
