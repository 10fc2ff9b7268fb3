# The runner's files: .runner, .credentials, .credentials_rsaparams, .env. Sourced.

# Set $field to a member of a flat JSON object; fail if there is none.
json_field() { # object member
    field=${1#*\""$2"\"}
    if [ "$field" = "$1" ]; then
        field=
        return 1
    fi
    field=${field#*:}
    field=${field# }
    case $field in
    \"*)
        field=${field#\"}
        field=${field%%\"*}
        ;;
    *) field=${field%%[,\}]*} ;;
    esac
}

# Write the files that a just-in-time configuration holds.
unpack_jitconfig() { # encoded
    files=$(base64 -d 2>/dev/null <<ENCODED
$1
ENCODED
    ) || fail "the just-in-time configuration is no base64"
    for name in .runner .credentials .credentials_rsaparams; do
        json_field "$files" "$name" || fail "the just-in-time configuration lacks $name"
        base64 -d >"$name" 2>/dev/null <<ENCODED || fail "$name can't be decoded"
$field
ENCODED
    done
}

# Set $server, $name, $work, $ephemeral and $token from the files; fail where there are none.
read_settings() {
    { [ -r .runner ] && [ -r .credentials ]; } || return 1
    # The files have no newline at their end, so that read gives the text and fails.
    IFS= read -r settings <.runner || :
    IFS= read -r credentials <.credentials || :
    json_field "$settings" serverUrl || return 1
    server=${field%/}
    json_field "$settings" agentName || return 1
    name=$field
    json_field "$settings" workFolder || field=_work
    work=$field
    json_field "$settings" ephemeral || field=false
    ephemeral=$field
    json_field "$credentials" token || return 1
    token=$field
}

forget_settings() {
    rm -f .runner .credentials .credentials_rsaparams
}

# Export the NAME=VALUE lines of a file, as they stand: no quotes, no expansion.
load_variables() { # file
    [ -r "$1" ] || return 0
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        [A-Za-z_]*=*) ;;
        *) continue ;;
        esac
        variable=${line%%=*}
        case $variable in
        *[!A-Za-z0-9_]*) continue ;;
        esac
        export "$variable=${line#*=}"
    done <"$1"
}
