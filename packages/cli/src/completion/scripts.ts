export type Shell = "bash" | "zsh" | "fish";

/** What a shell reads to complete `gatehouse`: it asks the program itself at each press of the key. */
export const COMPLETION_SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for gatehouse; load it with: source <(gatehouse completion bash)
_gatehouse() {
  local -a answer
  local current=\${COMP_WORDS[COMP_CWORD]}
  [[ $current == = ]] && current=
  mapfile -t answer < <("\${COMP_WORDS[0]}" __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=()
  case \${answer[0]} in
    words) COMPREPLY=("\${answer[@]:1}") ;;
    files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    dirs) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
  esac
}
complete -F _gatehouse gatehouse
`,
  zsh: `#compdef gatehouse
# zsh completion for gatehouse; load it with: source <(gatehouse completion zsh)
_gatehouse() {
  local -a answer
  answer=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case $answer[1] in
    words) compadd -- "\${(@)answer[2,-1]}" ;;
    files) _files ;;
    dirs) _files -/ ;;
  esac
}
if [ "$funcstack[1]" = "_gatehouse" ]; then _gatehouse "$@"; else compdef _gatehouse gatehouse; fi
`,
  fish: `# fish completion for gatehouse; load it with: gatehouse completion fish | source
function __gatehouse_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l answer ($words[1] __complete $words[2..-1] 2>/dev/null)
  switch "$answer[1]"
    case words
      test (count $answer) -gt 1; and printf '%s\\n' $answer[2..-1]
    case files
      __fish_complete_path (commandline -ct)
    case dirs
      __fish_complete_directories (commandline -ct)
  end
end
complete -c gatehouse -f -a '(__gatehouse_complete)'
`,
};
