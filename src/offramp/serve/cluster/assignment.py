"""Which replica watches which camera: rendezvous hashing, with room on each replica for its share.

Every camera ranks all replicas by a hash of both names and goes to the first that has room; a
replica has room for as many cameras as the mean, rounded up. Where a camera is, it stays, unless
its replica is gone or holds more than its room. So no camera moves that need not: what a dead
replica held, and what is too much for those that there are.

Rendezvous hashing: Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
1998. Bounded loads: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads",
2018; here with the tightest bound, which is cheap because the last assignment is known.
"""

import hashlib
from collections.abc import Collection, Mapping


def rank(camera: str, replicas: Collection[str]) -> list[str]:
    """Order replicas by how much a camera would like to be with them, the best first.

    What a camera thinks of two replicas does not depend on which others there are.
    """
    return sorted(replicas, key=lambda replica: (_score(camera, replica), replica), reverse=True)


def assign(
    cameras: Collection[str], replicas: Collection[str], before: Mapping[str, str]
) -> dict[str, str]:
    """Share cameras out.

    Args:
        cameras: names of all cameras.
        replicas: names of the replicas that live.
        before: replica of each camera until now; cameras and replicas that are gone may be in it.

    Returns:
        the replica of each camera: numbers of cameras differ by one at most where `before` was
        such, and otherwise none holds more than the mean, rounded up. Empty without replicas.
    """
    if not replicas:
        return {}
    room = -(-len(cameras) // len(replicas))
    held: dict[str, list[str]] = {replica: [] for replica in replicas}
    homeless = []
    for camera in sorted(cameras):
        owner = before.get(camera)
        if owner in held:
            held[owner].append(camera)
        else:
            homeless.append(camera)
    for replica, its in held.items():
        its.sort(key=lambda camera: _score(camera, replica), reverse=True)
        homeless += its[room:]  # those to which it means least
        del its[room:]
    for camera in homeless:
        chosen = next(one for one in rank(camera, replicas) if len(held[one]) < room)
        held[chosen].append(camera)
    return {camera: replica for replica, its in held.items() for camera in its}


def _score(camera: str, replica: str) -> int:
    text = f"{len(camera)}:{camera}{replica}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
