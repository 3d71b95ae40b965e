package io.ucp.cli;

import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.util.concurrent.Callable;

/// `ucp completion`: prints the script that completes ucp's commands and options in a shell.
@Command(
        name = "completion",
        hidden = true,
        description = "Print a completion script: `source <(ucp completion)` in bash.")
final class Completion implements Callable<Integer> {
    private enum Shell {
        bash,
        zsh
    }

    @Spec private CommandSpec spec;

    @Parameters(
            arity = "0..1",
            defaultValue = "bash",
            paramLabel = "SHELL",
            description = "One of ${COMPLETION-CANDIDATES}; bash if not given.")
    private Shell shell;

    @Override
    public Integer call() {
        String script = AutoComplete.bash("ucp", Main.commandLine());
        spec.commandLine().getOut().println(shell == Shell.zsh ? zsh(script) : script);
        return ExitCode.DONE.code();
    }

    /// Picocli's bash script sets up zsh's emulation of bash completion by itself; as an autoloaded
    /// function it must also answer the call that loads it.
    private static String zsh(String script) {
        return "#compdef ucp\n" + script + "\n_bash_complete -o default -F _complete_ucp\n";
    }
}
