# SPDX-License-Identifier: LGPL-2.1-or-later
# fish completion for safe-remove(8)

function __safe_remove_names
    timeout 3 safe-remove list --names 2>/dev/null </dev/null
end

function __safe_remove_occupied
    __safe_remove_names | string match --invert --regex '\tempty slot$'
end

function __safe_remove_running
    timeout 3 safe-remove status --no-legend --no-color 2>/dev/null </dev/null | string replace --filter --regex '^\d+ +(\S+) .*$' '$1\trunning'
end

function __safe_remove_ids
    timeout 3 safe-remove history --no-legend --no-color 2>/dev/null </dev/null | string replace --filter --regex '^(\d+) +(.*)$' '$1\t$2'
end

function __safe_remove_serials
    __safe_remove_names | string replace --filter --regex '^serial:(\S+)\tserial number, ' '$1\t'
end

# The command knows its verbs and their options best; its help needs no daemon.
function __safe_remove_verbs
    safe-remove --help 2>/dev/null </dev/null | string replace --filter --regex '^(?=  ([a-z][a-z-]*) )(?:.{26}|.*)(.*)$' '$1\t$2'
end

function __safe_remove_verb
    set -l verbs (__safe_remove_verbs | string replace --regex '\t.*' '')
    for word in (commandline -opc)[2..]
        contains -- $word $verbs; and echo $word; and return
    end
    return 1
end

function __safe_remove_options
    safe-remove (__safe_remove_verb) --help 2>/dev/null </dev/null | string replace --filter --regex '^  (?:-., |    )(--[a-z-]+)\S* *(.*)$' '$1\t$2'
end

function __safe_remove_in
    set -l verb (__safe_remove_verb); and contains -- $verb $argv
end

complete -c safe-remove -f
complete -c safe-remove -n 'not __safe_remove_verb >/dev/null' -a '(__safe_remove_verbs)'
complete -c safe-remove -n 'string match -q -- "-*" (commandline -ct)' -a '(__safe_remove_options)'
complete -c safe-remove -n '__safe_remove_in plan explain remove replace self-test holders' -a '(__safe_remove_occupied)'
complete -c safe-remove -n '__safe_remove_in show restore verify locate' -a '(__safe_remove_names)'
complete -c safe-remove -n '__safe_remove_in cancel status' -a '(__safe_remove_running)'
complete -c safe-remove -n '__safe_remove_in status certificate' -a '(__safe_remove_ids)'
complete -c safe-remove -n '__safe_remove_in policy' -a 'check reload'
complete -c safe-remove -n '__safe_remove_in policy simulate snapshot metrics hook-test' -F

complete -c safe-remove -s H -l host -x -a '(__fish_print_hostnames)' -d 'on that machine, by ssh'
complete -c safe-remove -s j -l json -a 'pretty short off' -d 'JSON on standard output'
complete -c safe-remove -n '__safe_remove_in plan explain remove replace' -s z -l zone-normal -x -a 'try refuse' -d 'memory in ZONE_NORMAL'
complete -c safe-remove -n '__safe_remove_in plan explain remove replace' -l force -x -a 'kill shutdown unmap unproven poison' -d 'what only force allows'
complete -c safe-remove -n '__safe_remove_in plan explain remove replace' -l sanitize -a '(__safe_remove_serials)' -d 'have the card erase itself'
complete -c safe-remove -n '__safe_remove_in remove replace' -l acknowledge -x -a kernel-log -d 'errors of other devices'
complete -c safe-remove -n '__safe_remove_in self-test' -s o -l output -r -F -d 'the report'
complete -c safe-remove -n '__safe_remove_in restore replace' -l equal-card -x -a 'yes no' -d 'another card of its make'
complete -c safe-remove -n '__safe_remove_in inhibit' -l what -x -a all -d 'cards'
complete -c safe-remove -n '__safe_remove_in inhibit' -l mode -x -a 'block delay' -d 'not at all, or not yet'
complete -c safe-remove -n '__safe_remove_in inhibit' -a '(__fish_complete_subcommand --fcs-skip=2)'
