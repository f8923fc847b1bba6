# Sourced by what grades strangers' code: bubblewrap's arguments, and whether it works here.
# shellcheck shell=bash
# shellcheck disable=SC2034 # its users source this file

# The system, read-only, without what is somebody's: no home, no /var, no more of /etc than the
# tools read.
system_in_sight=(--ro-bind /usr /usr)
for folder in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$folder" ]; then
        system_in_sight+=(--symlink "$(readlink "/$folder")" "/$folder")
    elif [ -d "/$folder" ]; then
        system_in_sight+=(--ro-bind "/$folder" "/$folder")
    fi
done
system_in_sight+=(--ro-bind-try /etc/ld.so.cache /etc/ld.so.cache
    --ro-bind-try /etc/alternatives /etc/alternatives)

# Where a process of this user may not go on with the rights of root: nobody's.
as_nobody=()
if [ "$(id -u)" = 0 ]; then
    as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all)
fi

# The innermost room: for the server, and for the compiler. Nothing can be written but a little in
# memory; no user namespace can be made in it. The network is that of the sandbox around it.
a_room=(--unshare-user --disable-userns --unshare-pid --unshare-ipc --unshare-uts --die-with-parent
    --hostname room --proc /proc --dev /dev --size 16777216 --tmpfs /dev/shm --remount-ro /dev
    --size 33554432 --tmpfs /tmp --chdir /tmp)

# sandbox_fault - why strangers' code can't be graded safely here, and what to do; nothing if it can
sandbox_fault() {
    local said
    said=$("${as_nobody[@]}" bwrap --unshare-all --die-with-parent "${system_in_sight[@]}" \
        --proc /proc --dev /dev --tmpfs /tmp bwrap "${a_room[@]}" "${system_in_sight[@]}" true 2>&1 </dev/null) && return
    echo "This machine does not let bubblewrap make a sandbox: ${said:-it gave no reason}."
    if [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" = 1 ]; then
        cat <<'END'
Ubuntu's AppArmor forbids user namespaces to programs without a profile. To allow them to bwrap:
  printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {\n  userns,\n}\n' |
    sudo tee /etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap
END
    fi
    if [ "$(cat /proc/sys/kernel/unprivileged_userns_clone 2>/dev/null)" = 0 ]; then
        echo "User namespaces are switched off: sudo sysctl kernel.unprivileged_userns_clone=1"
    fi
    if [ "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null)" = 0 ]; then
        echo "User namespaces are switched off: sudo sysctl user.max_user_namespaces=10000"
    fi
    if [ -e /.dockerenv ] || [ -e /run/.containerenv ] || grep -qs 'container=' /proc/1/environ; then
        cat <<'END'
This is a container, and its own fences forbid namespaces. Start it with
  docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --security-opt systempaths=unconfined ...
or grade on a machine, or a virtual machine, of your own.
END
    fi
    cat <<'END'
Without a sandbox a submission runs with your rights: it can read and delete what you can. Only on a
machine that holds nothing else: --no-sandbox.
END
}
