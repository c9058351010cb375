"""A browser as the viewer's server sees one: it connects, says where its camera is, and takes pictures."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import viser
import zstandard
from viser import _messages
from websockets.sync.client import connect
from websockets.typing import Subprotocol

__all__ = ["Browser"]

Vector = tuple[float, float, float]

PICTURE = "BackgroundImageMessage"


class Browser:
    """A connection to a viewer."""

    def __init__(self, port: int) -> None:
        version = Subprotocol(f"viser-v{viser.__version__}")
        self._socket = connect(f"ws://localhost:{port}", subprotocols=[version], max_size=None)

    def look(
        self, position: tuple[float, float, float], target: tuple[float, float, float], size: tuple[int, int]
    ) -> None:
        """Says where the camera is."""
        message = _messages.ViewerCameraMessage(
            wxyz=(0.0, 1.0, 0.0, 0.0),
            position=position,
            fov=0.9,
            near=0.01,
            far=100.0,
            image_height=size[1],
            image_width=size[0],
            look_at=target,
            up_direction=(0.0, 1.0, 0.0),
        )
        self._socket.send(msgspec.msgpack.encode(message.as_serializable_dict([])))

    def picture(self, seconds: float) -> bytes | None:
        """The next picture's JPEG; None if none comes in time."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            try:
                data = self._socket.recv(timeout=left)
            except TimeoutError:
                return None
            assert isinstance(data, bytes)
            packed = int.from_bytes(data[8:16], "little")
            told: dict[str, Any] = msgspec.msgpack.decode(zstandard.decompress(data[16 : 16 + packed]))
            for message in told["messages"]:
                if message["type"] == PICTURE and message["rgb_data"] is not None:
                    return bytes(message["rgb_data"])
        return None

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()
