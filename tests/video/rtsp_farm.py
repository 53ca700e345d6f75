"""Serve test streams by RTSP on 127.0.0.1: what a farm of cameras looks like, offline.

For the system's Python, which has GStreamer's bindings (Debian: gir1.2-gst-rtsp-server-1.0,
python3-gi, gstreamer1.0-plugins-base, -good, -bad, -ugly):

    /usr/bin/python3 tests/video/rtsp_farm.py [--cameras N] [--port PORT] [--size WxH] [--fps N]
                                              [--user NAME --password WORD] [FILE …]

Test patterns come at /cam0, /cam1, …; files at /file0, …, as far as the installed plugins decode
them (gstreamer1.0-libav decodes most). It prints the port, then serves until it is killed.
"""

import argparse
import sys


def main() -> None:
    """Serve until killed; exit status 3 where GStreamer is not installed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
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
    for element in ("x264enc", "rtph264pay", "videotestsrc"):
        if Gst.ElementFactory.find(element) is None:
            sys.stderr.write(f"GStreamer's element {element} is not installed\n")
            raise SystemExit(3)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    width, height = options.size.split("x")
    encoder = (
        f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={options.fps} "
        "! rtph264pay name=pay0 pt=96 config-interval=1"
    )
    patterns = ("smpte", "ball", "pinwheel", "snow")
    launches = {
        f"/cam{n}": f"( videotestsrc is-live=true pattern={patterns[n % len(patterns)]} "
        f"! video/x-raw,width={width},height={height},framerate={options.fps}/1 ! {encoder} )"
        for n in range(options.cameras)
    }
    for n, file in enumerate(options.files):
        launches[f"/file{n}"] = (
            f'( filesrc location="{file}" ! decodebin ! videoconvert ! videoscale ! videorate '
            f"! video/x-raw,format=I420,width={width},height={height},framerate={options.fps}/1 "
            f"! {encoder} )"
        )
    if options.user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        basic = GstRtspServer.RTSPAuth.make_basic(options.user, options.password)
        auth.add_basic(basic, token)
        server.set_auth(auth)
    for path, launch in launches.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(launch)
        factory.set_shared(True)
        if options.user:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("viewer", "media.factory.access", True)
            permissions.add_permission_for_role("viewer", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
