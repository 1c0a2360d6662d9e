# Sourced: a Debian 12's root from packages, owned by root.
#   debian_root TARGET ARCHITECTURE VARIANT PACKAGE,… [MMDEBSTRAP-OPTION…]
#       TARGET: a folder, or a file NAME.tar; no documentation, English only
#   debian_file_system FOLDER FILE SIZE [MKE2FS-OPTION…]
#       an ext4 file system with what is in FOLDER
# Packages come from where this machine has its own, if it is a Debian 12.
PATH=$PATH:/usr/sbin:/sbin
sudo=$([ "$(id -u)" = 0 ] || echo sudo)

debian_root() {
    root_target=$1 root_arch=$2 root_variant=$3 root_packages=$4
    shift 4
    root_from=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Release: bookworm' 'Component: main' |
        head -n 1)
    $sudo rm -rf "$root_target"
    # shellcheck disable=SC2086 # none, rather than an empty one
    $sudo mmdebstrap --quiet --architectures="$root_arch" \
        --variant="$root_variant" --include="$root_packages" \
        --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$@" bookworm "$root_target" $root_from
}

debian_file_system() {
    root_folder=$1 root_file=$2 root_size=$3
    shift 3
    $sudo mke2fs -q -F -t ext4 -d "$root_folder" "$@" "$root_file" "$root_size"
    $sudo chown "$(id -u)" "$root_file"
}
