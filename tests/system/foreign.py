# SPDX-License-Identifier: ISC
"""Other people's mail servers from Debian's packages, without installing them.

A package is unpacked and laid over /usr, /etc and /var in a mount namespace of
its own, so that programs find their files where they expect them and nothing
of this machine is changed.  $MANSIO_PEERS may name a directory with .deb files
that are there already.
"""
import glob
import os
import shutil
import subprocess
import tempfile


class Unavailable(Exception):
    pass


def debs(names, d):
    kept = os.environ.get("MANSIO_PEERS")
    if kept:
        found = [f for n in names for f in glob.glob(f"{kept}/{n}_*.deb")]
        if len(found) >= len(names):
            return found
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Unavailable("no apt-get")
    try:
        subprocess.run(["apt-get", "download", *names], cwd=d, check=True,
                       capture_output=True, timeout=60)
    except (subprocess.SubprocessError, OSError) as e:
        raise Unavailable(f"cannot download {', '.join(names)}") from e
    return glob.glob(f"{d}/*.deb")


class Box:
    """The packages' files, and a process that sees them."""

    def __init__(self, packages, users):
        self.d = tempfile.mkdtemp(prefix="mansio-peer-")
        os.chmod(self.d, 0o755)
        self.process = None
        self.log = f"{self.d}/output"
        try:
            for deb in debs(packages, self.d):
                subprocess.run(["dpkg", "-x", deb, f"{self.d}/x"], check=True,
                               capture_output=True)
            for top in ("etc", "var"):
                os.makedirs(f"{self.d}/up/{top}")
                os.makedirs(f"{self.d}/upper-work/{top}")
                if os.path.isdir(f"{self.d}/x/{top}"):
                    subprocess.run(["cp", "-a", f"{self.d}/x/{top}/.",
                                    f"{self.d}/up/{top}"], check=True)
            self.etc, self.var = f"{self.d}/up/etc", f"{self.d}/up/var"
            self.add_users(users)
        except BaseException:
            self.close()
            raise

    def add_users(self, users):
        for name, line in (("passwd", "{u}:x:{n}:{n}::/var/empty:"
                            "/usr/sbin/nologin\n"),
                           ("group", "{u}:x:{n}:\n")):
            with open(f"/etc/{name}", encoding="utf-8") as f:
                text = f.read()
            with open(f"{self.etc}/{name}", "w", encoding="utf-8") as f:
                f.write(text)
                f.writelines(line.format(u=u, n=64000 + i)
                             for i, u in enumerate(users))

    def start(self, *command):
        mounts = " && ".join(
            [f"mount -t overlay o -o lowerdir={self.d}/x/usr:/usr /usr"] +
            [f"mount -t overlay o -o lowerdir=/{t},upperdir={self.d}/up/{t},"
             f"workdir={self.d}/upper-work/{t} /{t}" for t in ("etc", "var")])
        probe = subprocess.run(["unshare", "-m", "sh", "-c", mounts],
                               capture_output=True, text=True)
        if probe.returncode != 0:
            raise Unavailable(f"no overlay: {probe.stderr.strip()}")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc",
                 "sh", "-c", mounts + ' && exec "$@"', "sh", *command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def output(self):
        text = ""
        for path in [self.log, *glob.glob(f"{self.d}/log/*")]:
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    text += f.read()
        return text

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.d, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and kind is not Unavailable:
            print("--- the other server ---\n" + self.output()[-4000:])
        self.close()
