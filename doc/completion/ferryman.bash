# Completion of ferryman for bash; made by: ferryman commands bash
_ferryman() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    case $prev in
    --plan|--kubeconfig|--log|--dir|check) COMPREPLY=(); return ;;
    --theme) COMPREPLY=($(compgen -W 'colour-blind dark light high-contrast mono' -- "$cur")); return ;;
    --color) COMPREPLY=($(compgen -W 'auto always never' -- "$cur")); return ;;
    --context) COMPREPLY=($(compgen -W "$(kubectl config get-contexts -o name 2>/dev/null)" -- "$cur")); return ;;
    plan) COMPREPLY=($(compgen -W 'check show preview' -- "$cur")); return ;;
    journal) COMPREPLY=($(compgen -W 'show verify import' -- "$cur")); return ;;
    --arm) COMPREPLY=($(compgen -W "$(kubectl config get-contexts -o name 2>/dev/null)" -- "$cur")); return ;;
    esac
    COMPREPLY=($(compgen -W 'console status watch attach plan run rollback journal dump snapshot sandbox --plan --kubeconfig --context --namespace --json --theme --ascii --color --mouse --log --timeout --headless --for --bell --plain --sandbox --dir --arm --confirm --skip --override --through-windows --pin --passphrase-file --output --version --help' -- "$cur"))
}
complete -o default -F _ferryman ferryman
