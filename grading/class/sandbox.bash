# Sourced by the scripts that grade untrusted code: bubblewrap's arguments, and whether it works here.
# shellcheck shell=bash
# shellcheck disable=SC2034 # its users source this file

# The system, read-only and without anyone's data: no home directories, no /var, and only those files
# of /etc that the tools read.
read_only_system=(--ro-bind /usr /usr)
links=()
for folder in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$folder" ]; then
        links+=("/$folder")
    elif [ -d "/$folder" ]; then
        read_only_system+=(--ro-bind "/$folder" "/$folder")
    fi
done
if [ ${#links[@]} -gt 0 ]; then
    mapfile -t targets < <(readlink "${links[@]}")
    for i in "${!links[@]}"; do
        read_only_system+=(--symlink "${targets[i]}" "${links[i]}")
    done
fi
read_only_system+=(--ro-bind-try /etc/alternatives /etc/alternatives)
# ldconfig replaces this file, at any moment: to mount it may fail, and whoever has mounted the old one can start no inner
# sandbox any more. So a submission's sandbox has a copy, and only the sandboxes in it mount that. The others need none.
library_cache=(--ro-bind-try /etc/ld.so.cache /etc/ld.so.cache)

# Untrusted code must not run as root: it drops to the user nobody. Empty for other users.
as_untrusted=()
# run_as ID - as_untrusted is this user and group from now on. In a sandbox, it is always nobody.
run_as() {
    untrusted_id=$1
    as_untrusted=(setpriv --reuid "$1" --regid "$1" --clear-groups --inh-caps=-all --bounding-set=-all)
}
as_in_every_sandbox=()
if [ "$EUID" = 0 ]; then
    run_as 65534
    as_in_every_sandbox=(--uid 65534 --gid 65534)
fi
# run_as_user_of_job N - Some of the kernel's limits count what one user has in all sandboxes together: descriptors in the
# queues of sockets, unix(7); epoll's watches, epoll(7); the buffers of pipes, pipe(7). So each of the jobs that run at
# the same time has a user of its own, with an unused id: above those of containers and directory services. Where there
# are fewer ids, as in some containers, it stays nobody.
run_as_user_of_job() {
    [ "$EUID" = 0 ] || return 0
    run_as "$((2100000000 + $1))"
    "${as_untrusted[@]}" true 2>/dev/null || run_as 65534
}

# An old bubblewrap (Ubuntu 22.04: 0.6.1) has neither of these options. The sandbox holds without them: then
# only the memory watcher limits temporary files, and untrusted code may create user namespaces in it.
# To try it takes a while, so those that this script starts are told: GRADE_BWRAP, the options that it has.
bwrap_supports() {
    "${as_untrusted[@]}" bwrap --unshare-user "$@" --ro-bind / / true >/dev/null 2>&1 </dev/null
}
try_bwrap() {
    if bwrap_supports --disable-userns --size 65536 --tmpfs /tmp; then
        GRADE_BWRAP="disable-userns size"
    else
        GRADE_BWRAP=none
        ! bwrap_supports --disable-userns || GRADE_BWRAP+=" disable-userns"
        ! bwrap_supports --size 65536 --tmpfs /tmp || GRADE_BWRAP+=" size"
    fi
}
if [ -z "${GRADE_BWRAP:-}" ] && type -P bwrap >/dev/null; then # otherwise it will be installed
    try_bwrap
    export GRADE_BWRAP
fi
disable_userns=()
[[ ${GRADE_BWRAP:-} != *disable-userns* ]] || disable_userns=(--disable-userns)
# size BYTES - prints the arguments that limit the next --tmpfs
size() { [[ ${GRADE_BWRAP:-} != *size* ]] || echo "--size $1"; }

# The inner sandbox, for the compiler and for the server. Only a little memory is writable, and no user
# namespace can be created in it. In /proc, a process could take back its oom_score_adj. It shares the network
# of the outer sandbox.
# shellcheck disable=SC2046,SC2207 # size prints two words or none
inner_sandbox=(--unshare-user "${disable_userns[@]}" --unshare-pid --unshare-ipc --unshare-uts --die-with-parent
    --hostname inner-sandbox --proc /proc --remount-ro /proc --dev /dev $(size 16777216) --tmpfs /dev/shm --remount-ro /dev
    $(size 33554432) --tmpfs /tmp --chdir /tmp)

# sandbox_problem - prints why the sandbox does not work here and what to do; prints nothing if it works
sandbox_problem() {
    local messages
    messages=$("${as_untrusted[@]}" bwrap --unshare-all --die-with-parent "${read_only_system[@]}" \
        --proc /proc --dev /dev --tmpfs /tmp bwrap "${inner_sandbox[@]}" "${read_only_system[@]}" true 2>&1 </dev/null) && return
    echo "This machine does not let bubblewrap create a sandbox: ${messages:-it gave no reason}."
    if [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" = 1 ]; then
        cat <<'END'
Ubuntu's AppArmor forbids user namespaces for programs without a profile. To allow them for bwrap:
  printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {\n  userns,\n}\n' |
    sudo tee /etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap
END
    fi
    if [ "$(cat /proc/sys/kernel/unprivileged_userns_clone 2>/dev/null)" = 0 ]; then
        echo "User namespaces are disabled: sudo sysctl kernel.unprivileged_userns_clone=1"
    fi
    if [ "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null)" = 0 ]; then
        echo "User namespaces are disabled: sudo sysctl user.max_user_namespaces=10000"
    fi
    if [ -e /.dockerenv ] || [ -e /run/.containerenv ] || grep -qs 'container=' /proc/1/environ; then
        cat <<'END'
This is a container, and its security settings forbid namespaces. Start it with
  docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --security-opt systempaths=unconfined ...
or grade on a physical or virtual machine instead.
END
    fi
    cat <<'END'
Without a sandbox, a submission runs with your privileges: it can read and delete whatever you can.
Use --no-sandbox only on a machine that holds nothing else.
END
}
