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

complete -c safe-remove -f
set -l verbs list show plan explain remove restore cancel status monitor history verify certificate inhibit inhibitors
set -l none "not __fish_seen_subcommand_from $verbs"

complete -c safe-remove -n $none -a list -d 'the slots: card, memory, state, LEDs'
complete -c safe-remove -n $none -a show -d "a card's memory and what is stored on it"
complete -c safe-remove -n $none -a plan -d 'what removing it would do, without doing it'
complete -c safe-remove -n $none -a explain -d 'why it cannot be removed, and what to do about that'
complete -c safe-remove -n $none -a remove -d 'take a card out of use and power its slot off'
complete -c safe-remove -n $none -a restore -d 'put back what a removal took down'
complete -c safe-remove -n $none -a cancel -d 'stop a removal and put everything back'
complete -c safe-remove -n $none -a status -d 'running removals, else the last one'
complete -c safe-remove -n $none -a monitor -d 'print events as they come'
complete -c safe-remove -n $none -a history -d 'past removals, newest first'
complete -c safe-remove -n $none -a verify -d 'ask the kernel again whether a slot is safe'
complete -c safe-remove -n $none -a certificate -d 'show the tamper-evident record of a removal'
complete -c safe-remove -n $none -a inhibit -d 'run a command, and keep the cards meanwhile'
complete -c safe-remove -n $none -a inhibitors -d 'who keeps cards, or has their removal wait'

complete -c safe-remove -n '__fish_seen_subcommand_from plan explain remove' -a '(__safe_remove_occupied)'
complete -c safe-remove -n '__fish_seen_subcommand_from show restore verify' -a '(__safe_remove_names)'
complete -c safe-remove -n '__fish_seen_subcommand_from cancel status' -a '(__safe_remove_running)'
complete -c safe-remove -n '__fish_seen_subcommand_from status certificate' -a '(__safe_remove_ids)'

complete -c safe-remove -s H -l host -x -a '(__fish_print_hostnames)' -d 'on that machine, by ssh'
complete -c safe-remove -s j -l json -a 'pretty short off' -d 'JSON on standard output'
complete -c safe-remove -l no-legend -d 'no headers, no closing remarks'
complete -c safe-remove -l no-pager -d 'no pager'
complete -c safe-remove -l no-color -d 'no color'
complete -c safe-remove -s h -l help -d 'help'
complete -c safe-remove -s V -l version -d 'version'
complete -c safe-remove -n '__fish_seen_subcommand_from list' -l names -d 'every name of a card'
complete -c safe-remove -n '__fish_seen_subcommand_from plan explain remove' -s g -l grace -x -d 'wait after the announcement'
complete -c safe-remove -n '__fish_seen_subcommand_from plan explain remove' -s t -l offline-timeout -x -d 'give up on a memory block'
complete -c safe-remove -n '__fish_seen_subcommand_from plan explain remove' -s z -l zone-normal -x -a 'try refuse' -d 'memory in ZONE_NORMAL'
complete -c safe-remove -n '__fish_seen_subcommand_from plan explain remove' -l force -x -a 'kill shutdown unmap unproven poison' -d 'what only force allows'
complete -c safe-remove -n '__fish_seen_subcommand_from plan explain remove' -l sanitize -a '(__safe_remove_serials)' -d 'have the card erase itself'
complete -c safe-remove -n '__fish_seen_subcommand_from plan explain remove' -l ignore-inhibitors -d 'whoever keeps it is not asked'
complete -c safe-remove -n '__fish_seen_subcommand_from inhibit' -l what -x -a all -d 'cards'
complete -c safe-remove -n '__fish_seen_subcommand_from inhibit' -l who -x -d 'who you are'
complete -c safe-remove -n '__fish_seen_subcommand_from inhibit' -l why -x -d 'the reason'
complete -c safe-remove -n '__fish_seen_subcommand_from inhibit' -l mode -x -a 'block delay' -d 'not at all, or not yet'
complete -c safe-remove -n '__fish_seen_subcommand_from inhibit' -a '(__fish_complete_subcommand --fcs-skip=2)'
complete -c safe-remove -n '__fish_seen_subcommand_from remove' -s p -l plan -x -d 'only this plan'
complete -c safe-remove -n '__fish_seen_subcommand_from remove' -l acknowledge -x -a kernel-log -d 'errors of other devices'
complete -c safe-remove -n '__fish_seen_subcommand_from remove restore' -s y -l yes -d 'do not ask'
complete -c safe-remove -n '__fish_seen_subcommand_from remove restore cancel' -l dry-run -d 'print what would be done'
complete -c safe-remove -n '__fish_seen_subcommand_from remove restore cancel' -l no-wait -d 'return when the request is accepted'
complete -c safe-remove -n '__fish_seen_subcommand_from remove restore cancel' -l no-ask-password -d 'do not ask for authorization'
complete -c safe-remove -n '__fish_seen_subcommand_from restore' -l equal-card -x -a 'yes no' -d 'another card of its make'
complete -c safe-remove -n '__fish_seen_subcommand_from history' -s n -l lines -x -d 'the last N removals'
complete -c safe-remove -n '__fish_seen_subcommand_from certificate' -l verify -d 'check all certificates'
