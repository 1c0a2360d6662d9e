# Sourced: takes Debian packages apart without installing them.
#   fetch_for [ARCHITECTURE]     of this machine, unless said
#   fetch_lists PACKAGE          the lists of packages, where that one is missing
#   fetch_depends PACKAGE        what `apt-cache depends` says
#   fetch_unpack PACKAGE FOLDER  unpacks its files into FOLDER
# Another architecture has package lists of its own in build/apt-ARCHITECTURE,
# made from this machine's sources: the machine's configuration stays as it is.

fetch_for() {
    fetch_native=$(dpkg --print-architecture)
    fetch_arch=${1:-$fetch_native}
    fetch_config=
    [ "$fetch_arch" = "$fetch_native" ] || fetch_config=$PWD/build/apt-$fetch_arch
}

fetch_apt() {
    if [ -n "$fetch_config" ]; then
        APT_CONFIG=$fetch_config/apt.conf "$@"
    else
        "$@"
    fi
}

# An emptied package list is common in container images.
fetch_lists() {
    if [ -z "$fetch_config" ]; then
        apt-cache show "$1" >/dev/null 2>&1 ||
            $([ "$(id -u)" = 0 ] || echo sudo) apt-get update -qq
        return
    fi
    mkdir -p "$fetch_config/lists/partial" "$fetch_config/cache"
    : > "$fetch_config/status"
    cat > "$fetch_config/apt.conf" <<CONF
APT::Architecture "$fetch_arch";
APT::Architectures { "$fetch_arch"; };
Dir::State "$fetch_config";
Dir::State::status "$fetch_config/status";
Dir::Cache "$fetch_config/cache";
CONF
    fetch_apt apt-cache show "$1" >/dev/null 2>&1 && return
    # A source without this architecture is no loss while another has it.
    fetch_apt apt-get update -qq || true
    fetch_apt apt-cache show "$1" >/dev/null || {
        echo "no source of packages here has $1 for $fetch_arch" >&2
        return 1
    }
}

fetch_depends() {
    fetch_apt apt-cache depends "$1"
}

fetch_unpack() (
    fetch_lists "$1"
    cd "$2"
    chmod 755 .
    fetch_apt apt-get download -qq -o APT::Sandbox::User=root "$1"
    dpkg -x ./*.deb .
    rm -f ./*.deb
)
