"""Serve test streams by RTSP on 127.0.0.1: what a farm of cameras looks like, offline.

For the system's Python, which has GStreamer's bindings (Debian: gir1.2-gst-rtsp-server-1.0,
python3-gi, gstreamer1.0-plugins-base, -good, -bad, -ugly):

    /usr/bin/python3 tests/video/rtsp_farm.py [--cameras N] [--port PORT] [--size WxH] [--fps N]
                                              [--user NAME --password WORD] [CLIP …]

Test patterns come at /cam0, /cam1, …; clips at /clip0, …, over and over. A clip is what
`tests.video.farm.write_clip` makes of any video: H.264 with a delimiter before each frame, so that
nothing has to be decoded here. It prints the port, then serves until it is killed.
"""

import argparse
import sys
import time
from pathlib import Path

PATTERNS = ("smpte", "ball", "pinwheel", "snow")
DELIMITER = b"\0\0\0\1\x09"
PAY = "rtph264pay name=pay0 pt=96 config-interval=1"
REQUIRED = ("x264enc", "h264parse", "rtph264pay", "videotestsrc", "appsrc")


def main() -> None:
    """Serve until killed; exit status 3 where GStreamer is not installed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--size", default="320x192")
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    options = parser.parse_args()
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer
    except (ImportError, ValueError) as error:
        sys.stderr.write(f"GStreamer's RTSP server is not installed: {error}\n")
        raise SystemExit(3) from None
    Gst.init(None)
    for element in REQUIRED:
        if Gst.ElementFactory.find(element) is None:
            sys.stderr.write(f"GStreamer's element {element} is not installed\n")
            raise SystemExit(3)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    for path, factory in factories(options, GLib, Gst, GstRtspServer):
        factory.set_shared(True)
        if options.user:
            permit(factory, GstRtspServer)
        server.get_mount_points().add_factory(path, factory)
    if options.user:
        server.set_auth(gate(options.user, options.password, GstRtspServer))
    if not server.attach(None):
        sys.stderr.write(f"port {options.port} cannot be listened at\n")
        raise SystemExit(1)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def factories(options, GLib, Gst, GstRtspServer):
    """Yield the path and the factory of each stream."""
    width, height = options.size.split("x")
    for n in range(options.cameras):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(
            f"( videotestsrc is-live=true pattern={PATTERNS[n % len(PATTERNS)]} "
            f"! video/x-raw,width={width},height={height},framerate={options.fps}/1 "
            f"! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={options.fps} ! {PAY} )"
        )
        yield f"/cam{n}", factory
    for n, clip in enumerate(options.clips):
        frames = [DELIMITER + frame for frame in clip.read_bytes().split(DELIMITER)[1:]]
        caps = "video/x-h264,stream-format=byte-stream,alignment=au"
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(
            f"( appsrc name=source is-live=true format=time do-timestamp=true "
            f"caps={caps},framerate={options.fps}/1 ! h264parse ! {PAY} )"
        )
        factory.connect(
            "media-configure",
            lambda _, media, frames=frames: Player(frames, options.fps, media, GLib, Gst),
        )
        yield f"/clip{n}", factory


class Player:
    """Hands a clip's frames to a stream at a steady rate, until nobody watches it any more."""

    def __init__(self, frames, fps, media, GLib, Gst):
        self.frames = frames
        self.fps = fps
        self.start = time.monotonic()
        self.next = 0
        self.wrap = Gst.Buffer.new_wrapped
        self.source = media.get_element().get_by_name_recurse_up("source")
        self.timer = GLib.timeout_add(10, self.push)
        media.connect("unprepared", lambda _: GLib.source_remove(self.timer))

    def push(self):
        """Give the frames whose time has come."""
        while (time.monotonic() - self.start) * self.fps >= self.next:
            frame = self.frames[self.next % len(self.frames)]
            self.source.emit("push-buffer", self.wrap(frame))
            self.next += 1
        return True


def gate(user, password, GstRtspServer):
    """Let one user in."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


def permit(factory, GstRtspServer):
    """Show a stream to those who were let in."""
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    main()
