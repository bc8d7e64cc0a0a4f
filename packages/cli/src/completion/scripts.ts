export type Shell = "bash" | "zsh" | "fish";

/** What a shell reads to complete `gatehouse`: it asks the program itself at each press of the key. */
export const COMPLETION_SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for gatehouse and its aliases; load it with: source <(gatehouse completion bash)
_gatehouse() {
  local -a answer program
  local current=\${COMP_WORDS[COMP_CWORD]}
  [[ $current == = ]] && current=
  # As the shell would run it: an alias is what it stands for, a leading ~ the home directory.
  read -ra program <<< "\${BASH_ALIASES[\${COMP_WORDS[0]}]:-\${COMP_WORDS[0]}}"
  [[ \${program[0]} == "~/"* ]] && program[0]=$HOME/\${program[0]:2}
  mapfile -t answer < <("\${program[0]}" __complete "\${program[@]:1}" "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=()
  case \${answer[0]} in
    words) COMPREPLY=("\${answer[@]:1}") ;;
    files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    dirs) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
  esac
}
complete -F _gatehouse gatehouse
__gatehouse_form='^([^ ]*/)?gatehouse( |$)'
for __gatehouse_name in "\${!BASH_ALIASES[@]}"; do
  if [[ \${BASH_ALIASES[$__gatehouse_name]} =~ $__gatehouse_form ]]; then complete -F _gatehouse "$__gatehouse_name"; fi
done
unset __gatehouse_form __gatehouse_name
`,
  zsh: `#compdef gatehouse
# zsh completion for gatehouse; load it with: source <(gatehouse completion zsh)
_gatehouse() {
  local -a answer
  # The shell has put what an alias stands for in its place; a leading ~ is still there.
  local program=$words[1]
  [[ $program == "~/"* ]] && program=$HOME/\${program#"~/"}
  answer=("\${(@f)$("$program" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
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
  # As the shell would run it.
  set -l program (string replace -r '^~(?=/)' $HOME -- $words[1])
  set -l answer ($program __complete $words[2..-1] 2>/dev/null)
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
