package io.ucp.formats.torch;

import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.io.MalformedFileException;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// Pickles made to run something when they are loaded. Nothing runs here, but what is carried would
/// be written back, and run where it is loaded next: such a file is refused.
public final class RunningCalls {
    private static final Set<String> MODULES =
            Set.of(
                    "os",
                    "posix",
                    "nt",
                    "subprocess",
                    "sys",
                    "runpy",
                    "importlib",
                    "pty",
                    "shutil",
                    "socket",
                    "ctypes",
                    "webbrowser",
                    "commands",
                    "code",
                    "pdb",
                    "timeit",
                    "pip");
    private static final Set<String> BUILTINS =
            Set.of("eval", "exec", "execfile", "compile", "__import__", "open", "input");

    private RunningCalls() {}

    /// @throws MalformedFileException that names the first such call
    public static void refuse(Path file, PickleValue tree) throws MalformedFileException {
        List<PyGlobal> found = new ArrayList<>();
        PickleGraph.forEach(
                tree,
                node -> {
                    if (node instanceof PyObject object
                            && object.callable() instanceof PyGlobal global
                            && runs(global)) {
                        found.add(global);
                    }
                });
        if (!found.isEmpty()) {
            throw new MalformedFileException(
                    file,
                    -1,
                    "its pickle calls %s.%s, which runs something wherever it is loaded (nothing was"
                                    .formatted(found.getFirst().module(), found.getFirst().name())
                            + " run here)",
                    "data",
                    "do not load this file anywhere; take the checkpoint from a place that you"
                            + " trust");
        }
    }

    private static boolean runs(PyGlobal global) {
        String module = global.module();
        int dot = module.indexOf('.');
        String top = dot < 0 ? module : module.substring(0, dot);
        return switch (top) {
            case "builtins", "__builtin__" -> BUILTINS.contains(global.name());
            case String _ -> MODULES.contains(top);
        };
    }
}
