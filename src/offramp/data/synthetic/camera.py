"""Pinhole camera: world metres to pixels and back to the floor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Describe one fixed camera in a hall with x right, y forward and z up.

    Attributes:
        position: Optical centre, metres.
        yaw: Heading clockwise from +y, radians.
        pitch: Downward tilt from the horizon, radians.
        roll: Rotation about the optical axis, radians.
        fov: Horizontal field of view, radians.
        width: Image width, pixels.
        height: Image height, pixels.
    """

    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    fov: float
    width: int
    height: int

    @cached_property
    def focal(self) -> float:
        """Return the focal length in pixels."""
        return 0.5 * self.width / float(np.tan(0.5 * self.fov))

    @cached_property
    def rotation(self) -> Floats:
        """Return the (3, 3) matrix whose rows are right, down and forward."""
        sin_y, cos_y = np.sin(self.yaw), np.cos(self.yaw)
        sin_p, cos_p = np.sin(self.pitch), np.cos(self.pitch)
        right = np.array([cos_y, -sin_y, 0.0])
        forward = np.array([sin_y * cos_p, cos_y * cos_p, -sin_p])
        down = np.cross(forward, right)
        sin_r, cos_r = np.sin(self.roll), np.cos(self.roll)
        return np.stack([cos_r * right + sin_r * down, cos_r * down - sin_r * right, forward])

    def to_view(self, points: Floats) -> Floats:
        """Return points (..., 3) in metres along right, down and forward."""
        view: Floats = (points - np.asarray(self.position)) @ self.rotation.T
        return view

    def project(self, points: Floats) -> Floats:
        """Project points (..., 3) in metres to (..., 3) of u, v in pixels and depth in metres."""
        view = self.to_view(points)
        depth = view[..., 2]
        safe = np.where(depth > 0.05, depth, 0.05)
        u = self.focal * view[..., 0] / safe + 0.5 * self.width
        v = self.focal * view[..., 1] / safe + 0.5 * self.height
        return np.stack([u, v, depth], axis=-1)

    def rays(self, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return world directions (..., 3) through pixels, scaled to unit depth."""
        x = (u - 0.5 * self.width) / self.focal
        y = (v - 0.5 * self.height) / self.focal
        local = np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float32)
        world: NDArray[np.float32] = local @ self.rotation.astype(np.float32)
        return world

    def floor_homography(self) -> Floats:
        """Return the (3, 3) map from pixel (u, v, 1) to homogeneous floor (x, y, 1), metres."""
        inverse = np.array(
            [
                [1 / self.focal, 0, -0.5 * self.width / self.focal],
                [0, 1 / self.focal, -0.5 * self.height / self.focal],
                [0, 0, 1],
            ]
        )
        rays = self.rotation.T @ inverse
        x, y, z = self.position
        # A ray p + t d meets z = 0 at t = -z / d_z, so x = (x d_z - z d_x) / d_z.
        homography: Floats = np.stack(
            [x * rays[2] - z * rays[0], y * rays[2] - z * rays[1], rays[2]]
        )
        return homography
