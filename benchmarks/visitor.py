"""A visitor without a browser: what a browser sends over its web socket, and how long the app's script then runs.

`Talk` is what is said, without a connection, for whoever has sockets of their own; `Visitor` opens a socket and waits.
"""

import http.client
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

Value = bool | float | str | list[float] | list[str]

FIELDS = {  # kind of widget -> where its value stands in a message, if the value's type does not say it
    "slider": "double_array_value",
    "number_input": "double_value",
    "button": "trigger_value",
    "button_group": "string_array_value",
    "pagination": "int_value",
    "menu_button": "string_trigger_value",
}
READ = dict.fromkeys(("html", "markdown", "alert", "heading", "metric", "text"), "body") | {"download_button": "label"}


class Widget(NamedTuple):
    id: str
    kind: str  # as the element is called in Streamlit's messages


class Talk:
    """One session, as its browser knows it.

    `query` and `page` (an address such as "feature-maps") follow what the server says. `widgets` are those that
    were shown so far, by their keys. `texts` are what stands in the last run's elements of the kinds in READ, in the
    order in which they came; `fragment` is the last that came with a figure, which may be asked for alone.
    """

    def __init__(self, link: Mapping[str, str] | str = "", page: str = "") -> None:
        self.query = link if isinstance(link, str) else urlencode(link)
        self.page = page
        self.session = ""  # its name on the server, to which files are sent
        self.widgets: dict[str, Widget] = {}
        self.texts: list[str] = []
        self.fragment = ""
        self._hash = ""
        self._values: dict[str, tuple[str, Any]] = {}  # id -> field, value; a browser sends them all each time

    def request(self, values: Mapping[str, Value] | None = None, fragment: str = "") -> bytes:
        """The message that runs the script, with new values for widgets, by their keys; or one that a browser sends by
        itself, for a fragment alone. Raises KeyError for a widget that was never shown.
        """
        pressed: dict[str, tuple[str, Any]] = {}
        for key, value in (values or {}).items():
            widget = self.widgets[key]
            field = _field(widget, value)
            (pressed if field.endswith("trigger_value") else self._values)[widget.id] = field, value
        message = BackMsg()
        run = message.rerun_script
        run.query_string = self.query
        run.fragment_id, run.is_auto_rerun = fragment, bool(fragment)
        if self._hash:
            run.page_script_hash = self._hash
        else:
            run.page_name = self.page
        for id, (field, value) in (self._values | pressed).items():
            state = run.widget_states.widgets.add(id=id)
            if field == "file_uploader_state_value":
                for file, (name, size) in value.items():
                    state.file_uploader_state_value.uploaded_file_info.add(file_id=file, name=name, size=size)
            elif field.endswith("array_value"):
                getattr(state, field).data.extend(value if isinstance(value, list) else [value])
            elif field == "string_trigger_value":
                state.string_trigger_value.data = value
            else:
                setattr(state, field, value)
        self.texts = []
        sent: bytes = message.SerializeToString()
        return sent

    def hold(self, key: str, file: str, name: str, size: int) -> None:
        """A file that was sent under the name `file` is in this uploader from now on."""
        _, held = self._values.get(self.widgets[key].id, ("", {}))
        self._values[self.widgets[key].id] = "file_uploader_state_value", {**held, file: (name, size)}

    def take(self, received: bytes) -> bool:
        """Whether the script has finished with this message. Raises RuntimeError where it has failed."""
        message = ForwardMsg.FromString(received)
        kind = message.WhichOneof("type")
        if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._element(message.delta.new_element)
            if message.delta.new_element.plotly_chart.spec and message.delta.fragment_id:
                self.fragment = message.delta.fragment_id
        elif kind == "delta" and message.delta.WhichOneof("type") == "add_block":
            self._block(message.delta.add_block)
        elif kind == "new_session":
            self.session = message.new_session.initialize.session_id
        elif kind == "navigation":
            self._hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "page_not_found":
            raise RuntimeError(f"the server has no page {self.page!r}")
        elif kind == "session_event" and message.session_event.WhichOneof("type") == "script_compilation_exception":
            raise RuntimeError(message.session_event.script_compilation_exception.message)
        elif kind == "script_finished":
            return bool(message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN)  # then it runs once more
        return False

    def text(self, words: str) -> str:
        """The last of the last run's elements in which these words stand. Raises LookupError where they do not."""
        for text in reversed(self.texts):
            if words in text:
                return text
        raise LookupError(f"nothing on the page says {words!r}")

    def _element(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            raise RuntimeError(f"the page failed: {element.exception.type}: {element.exception.message}")
        body = getattr(element, kind)
        if kind in READ:
            self.texts.append(getattr(body, READ[kind]))
        self._widget(getattr(body, "id", ""), kind)

    def _block(self, block: Any) -> None:
        """What is unfolded by a click, whose value is a bool."""
        kind = block.WhichOneof("type")
        if kind in ("expandable", "popover"):
            self._widget(getattr(block, kind).id, kind)

    def _widget(self, id: str, kind: str) -> None:
        if id.startswith("$$ID-"):
            self.widgets[id.split("-", 2)[2]] = Widget(id, kind)


def _field(widget: Widget, value: Value) -> str:
    if widget.kind in FIELDS:
        return FIELDS[widget.kind]
    if isinstance(value, bool):
        return "bool_value"
    return "string_array_value" if isinstance(value, list) else "string_value"


class Visitor:
    """A session that is open at `address` (http://host:port) from the `with` on, when its first run has finished.

    Cookies are kept, so that a proxy finds the same server again; `cookies` of another visitor lead to theirs.
    """

    def __init__(
        self,
        address: str,
        link: Mapping[str, str] | str = "",
        page: str = "",
        cookies: Mapping[str, str] | None = None,
        patience: float = 60.0,
    ) -> None:
        """Seconds of `patience` are waited for each message."""
        self.address = address.rstrip("/")
        self.talk = Talk(link, page)
        self.cookies = dict(cookies or {})
        self.patience = patience
        self.pressed = ""  # the button that was pressed last without waiting

    def __enter__(self) -> Self:
        connecting = connect(
            f"ws{self.address.removeprefix('http')}/_stcore/stream",
            subprotocols=[Subprotocol("streamlit")],
            additional_headers=cookie_header(self.cookies),
            max_size=None,
            close_timeout=1,  # a browser waits for nobody
        )
        with ExitStack() as stack:
            self._socket = stack.enter_context(connecting)
            assert self._socket.response
            self.cookies |= cookies_set(self._socket.response.headers.get_all("Set-Cookie"))
            self.opened = self.rerun()  # seconds
            self._leave = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """As a browser whose tab is closed, also while another thread waits for an answer."""
        self._leave.close()

    def set(self, key: str, value: Value) -> float:
        """Seconds from the message that a widget has another value, or was pressed (True), to the end of the script."""
        return self.rerun({key: value})

    def press(self, key: str, value: Value = True) -> None:
        """A button, or another value, without waiting; a script that runs is interrupted, as is who waits for it."""
        self.pressed = key
        self._socket.send(self.talk.request({key: value}))

    def send(self, key: str, name: str, data: bytes) -> float:
        """A file into an uploader. Seconds to the end of the script. Raises RuntimeError where it is not taken."""
        head = f'--x\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
        file = secrets.token_hex(8)
        host = self.address.partition("//")[2]
        connection = http.client.HTTPConnection(host, timeout=self.patience)
        try:
            connection.request("GET", "/_stcore/health", headers=cookie_header(self.cookies))
            answer = connection.getresponse()
            answer.read()
            token = cookies_set(answer.headers.get_all("Set-Cookie") or [])["_streamlit_xsrf"]
            headers = cookie_header(self.cookies | {"_streamlit_xsrf": token}) | {
                "Content-Type": "multipart/form-data; boundary=x",
                "X-Xsrftoken": token,
            }
            path = f"/_stcore/upload_file/{self.talk.session}/{file}"
            connection.request("PUT", path, head + data + b"\r\n--x--\r\n", headers)
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status != 204:
            raise RuntimeError(f"the server took no file: {answer.status} {said[:200]}")
        self.talk.hold(key, file, name, len(data))
        return self.rerun()

    def rerun(self, values: Mapping[str, Value] | None = None, fragment: str = "") -> float:
        """Seconds; TimeoutError, RuntimeError, or websockets' ConnectionClosed where it comes to nothing."""
        request = self.talk.request(values, fragment)
        began = time.perf_counter()
        self._socket.send(request)
        while not self.talk.take(self._socket.recv(self.patience, decode=False)):
            pass
        return time.perf_counter() - began

    @property
    def query(self) -> str:
        return self.talk.query

    def text(self, words: str) -> str:
        return self.talk.text(words)


def cookie_header(cookies: Mapping[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}


def cookies_set(headers: list[str]) -> dict[str, str]:
    """By the values of an answer's Set-Cookie headers."""
    pairs = (header.split(";")[0].partition("=") for header in headers)
    return {name.strip(): value.strip() for name, _, value in pairs}
