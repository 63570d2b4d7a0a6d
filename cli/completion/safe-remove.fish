# SPDX-License-Identifier: LGPL-2.1-or-later
# fish completion for safe-remove(8)

# The command knows its verbs and their options best; its help needs no daemon.
function __safe_remove_verbs
    safe-remove --help 2>/dev/null </dev/null | string replace --filter --regex '^(?=  ([a-z][a-z-]*) )(?:.{26}|.*)(.*)$' '$1\t$2'
end

# The verb of the command line; behind a recorded machine the verb there. Until that is there: "simulate MACHINE".
function __safe_remove_verb
    set -l verbs (__safe_remove_verbs | string replace --regex '\t.*' '')
    set -l machine
    set -l recorded no
    for word in (commandline -opc)[2..]
        if test $recorded = yes -a -z "$machine"
            string match -q -- '-*' $word; or set machine $word
        else if contains -- $word $verbs
            if test $word != simulate
                echo $word
                return
            end
            set recorded yes
        end
    end
    test $recorded = yes; or return 1
    echo simulate $machine
end

function __safe_remove_in
    set -l verb (__safe_remove_verb); and contains -- $verb $argv
end

function __safe_remove_in_recorded
    __safe_remove_verb | string match -q 'simulate ?*'
end

function __safe_remove_options
    set -l verb (__safe_remove_verb | string split ' ')
    safe-remove $verb[1] --help 2>/dev/null </dev/null | string replace --filter --regex '^  (?:-., |    )(--[a-z-]+)\S* *(.*)$' '$1\t$2'
end

# Whether the verb has the option. Asked for each option below: the command is asked once a line.
function __safe_remove_has
    set -l line (commandline -opc)
    if test "$line" != "$__safe_remove_line"
        set -g __safe_remove_line "$line"
        set -g __safe_remove_had (__safe_remove_options)
    end
    string match -q -- "--$argv[1]"\t'*' $__safe_remove_had
end

# About a recorded machine, if the command line is.
function __safe_remove_ask
    set -l words (commandline -opc)
    set -l i (contains --index -- simulate $words)
    if test -n "$i"; and test (count $words) -gt $i
        timeout 3 safe-remove simulate $words[(math $i + 1)] $argv 2>/dev/null </dev/null
    else
        timeout 3 safe-remove $argv 2>/dev/null </dev/null
    end
end

function __safe_remove_names
    __safe_remove_ask list --names
end

function __safe_remove_occupied
    __safe_remove_names | string match --invert --regex '\tempty slot$'
end

function __safe_remove_running
    __safe_remove_ask status --no-legend --no-color | string replace --filter --regex '^\d+ +(\S+) .*$' '$1\trunning'
end

function __safe_remove_ids
    __safe_remove_ask history --no-legend --no-color | string replace --filter --regex '^(\d+) +(.*)$' '$1\t$2'
end

function __safe_remove_incidents
    timeout 3 safe-remove history --no-legend --no-color 2>&1 >/dev/null </dev/null | string replace --filter --regex '^incident (\d+), (.*)$' '$1\t$2'
end

function __safe_remove_serials
    __safe_remove_names | string replace --filter --regex '^serial:(\S+)\tserial number, ' '$1\t'
end

complete -c safe-remove -f
complete -c safe-remove -n 'not __safe_remove_verb >/dev/null' -a '(__safe_remove_verbs)'
complete -c safe-remove -n 'string match -q -- "-*" (commandline -ct)' -a '(__safe_remove_options)'
complete -c safe-remove -n '__safe_remove_in plan explain remove replace self-test holders' -a '(__safe_remove_occupied)'
complete -c safe-remove -n '__safe_remove_in show restore verify locate' -a '(__safe_remove_names)'
complete -c safe-remove -n '__safe_remove_in cancel status' -a '(__safe_remove_running)'
complete -c safe-remove -n '__safe_remove_in status certificate' -a '(__safe_remove_ids)'
complete -c safe-remove -n '__safe_remove_in incident' -a '(__safe_remove_incidents)'
complete -c safe-remove -n '__safe_remove_in policy' -a 'check reload'
complete -c safe-remove -n '__safe_remove_in policy simulate hook-test' -F
complete -c safe-remove -n __safe_remove_in_recorded -a 'list show plan explain holders verify status history certificate snapshot remove restore replace self-test'
complete -c safe-remove -n '__safe_remove_in inhibit' -a '(__fish_complete_subcommand --fcs-skip=2)'

complete -c safe-remove -n '__safe_remove_has host' -s H -l host -x -a '(__fish_print_hostnames)' -d 'on that machine, by ssh'
complete -c safe-remove -n '__safe_remove_has json' -s j -l json -a 'pretty short off' -d 'JSON on standard output'
complete -c safe-remove -n '__safe_remove_has zone-normal' -s z -l zone-normal -x -a 'try refuse' -d 'memory in ZONE_NORMAL'
complete -c safe-remove -n '__safe_remove_has force' -l force -x -a 'kill shutdown unmap unproven poison' -d 'what only force allows'
complete -c safe-remove -n '__safe_remove_has sanitize' -l sanitize -a '(__safe_remove_serials)' -d 'have the card erase itself'
complete -c safe-remove -n '__safe_remove_has acknowledge' -l acknowledge -x -a kernel-log -d 'errors of other devices'
complete -c safe-remove -n '__safe_remove_has output' -s o -l output -r -F -d 'write it there'
complete -c safe-remove -n '__safe_remove_has equal-card' -l equal-card -x -a 'yes no' -d 'another card of its make'
complete -c safe-remove -n '__safe_remove_has what' -l what -x -a all -d cards
complete -c safe-remove -n '__safe_remove_has mode' -l mode -x -a 'block delay' -d 'not at all, or not yet'
complete -c safe-remove -n '__safe_remove_has phase' -l phase -x -a 'query pre undo post restore' -d 'this phase alone'
complete -c safe-remove -n '__safe_remove_has plan' -s p -l plan -x
complete -c safe-remove -n '__safe_remove_has grace' -s g -l grace -x
complete -c safe-remove -n '__safe_remove_has offline-timeout' -s t -l offline-timeout -x
complete -c safe-remove -n '__safe_remove_has lines' -s n -l lines -x
complete -c safe-remove -n '__safe_remove_has wait' -l wait -x
complete -c safe-remove -n '__safe_remove_has for' -l for -x
complete -c safe-remove -n '__safe_remove_has who' -l who -x
complete -c safe-remove -n '__safe_remove_has why' -l why -x
