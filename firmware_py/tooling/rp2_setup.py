# mypy: ignore-errors
# Sent to a Pico once, before its first files; OUTER is the text of firmware_py/boot/outer.py, which says what for.
import rp2
import vfs

flash = rp2.Flash()
blocks = flash.ioctl(4, 0)
# Sent only to a board whose file system still spans the storage: a belt keeps its records and settings.
vfs.umount("/")
vfs.VfsLfs2.mkfs(flash, progsize=256)
vfs.mount(vfs.VfsLfs2(flash, progsize=256), "/")
with open("/boot.py", "w") as file:
    file.write(OUTER)  # noqa: F821 - the sender defines it
vfs.umount("/")
inner = rp2.Flash(start=8192, len=blocks * 4096 - 8192 - 131072)
vfs.VfsLfs2.mkfs(inner, progsize=256)
vfs.mount(vfs.VfsLfs2(inner, progsize=256), "/")
