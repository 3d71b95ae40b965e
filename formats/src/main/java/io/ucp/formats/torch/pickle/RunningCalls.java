package io.ucp.formats.torch.pickle;

import io.ucp.io.MalformedFileException;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/// Pickles made to run something when they are loaded. Nothing runs here, but what is carried would
/// be written back, and run where it is loaded next: such a file is refused. What runs something is
/// refused wherever it is named, since `map`, a default factory or a state may call it too.
///
/// A list of names can only hold what is known to run something; that everything else is harmless
/// is not promised.
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
                    "operator",
                    "_operator",
                    "commands",
                    "code",
                    "pdb",
                    "timeit",
                    "pip");
    private static final Set<String> BUILTINS =
            Set.of(
                    "eval",
                    "exec",
                    "execfile",
                    "compile",
                    "__import__",
                    "open",
                    "input",
                    "getattr",
                    "setattr",
                    "delattr",
                    "globals",
                    "locals",
                    "vars",
                    "breakpoint");

    /// What only holds a function and arguments, which are looked at by themselves.
    private static final String PARTIAL = "partial";

    private static final Pattern DOT = Pattern.compile("\\.");
    private static final Pattern UNDERSCORES = Pattern.compile("^_+");

    private RunningCalls() {}

    /// @throws MalformedFileException that names the first of them
    public static void refuse(Path file, PickleValue tree) throws MalformedFileException {
        List<String> found = new ArrayList<>();
        if (tree instanceof PyGlobal global && runs(global)) {
            found.add("names " + global);
        }
        PickleGraph.forEach(tree, node -> find(node, found));
        if (!found.isEmpty()) {
            throw new MalformedFileException(
                    file,
                    -1,
                    "its pickle %s, which runs something wherever it is loaded (nothing was run here)"
                            .formatted(found.getFirst()),
                    "data",
                    "do not load this file anywhere; take the checkpoint from a place that you"
                            + " trust");
        }
    }

    private static void find(PyContainer node, List<String> found) {
        PickleValue callable = node instanceof PyObject object ? object.callable() : PyTuple.of();
        if (callable instanceof PyGlobal global && runs(global) && !isNestedName(node)) {
            found.add("calls " + global);
        }
        for (PickleValue child : node.children()) {
            if (!child.equals(callable) && child instanceof PyGlobal global && runs(global)) {
                found.add("names " + global);
            }
        }
    }

    /// `getattr(Outer, "Inner")`: how protocol 2 writes the name of a class in a class, or a member
    /// of an enumeration.
    private static boolean isNestedName(PickleValue node) {
        return isGetattr(node)
                && ((PyObject) node).arguments() instanceof PyTuple tuple
                && tuple.elements().size() == 2
                && (tuple.elements().get(0) instanceof PyGlobal
                        || isGetattr(tuple.elements().get(0)))
                && tuple.elements()
                        .get(1)
                        .asText()
                        .filter(name -> !name.startsWith("__") && !leadsOut(name))
                        .isPresent();
    }

    private static boolean isGetattr(PickleValue node) {
        return node instanceof PyObject object && object.isCallOf("builtins", "getattr");
    }

    private static boolean runs(PyGlobal global) {
        String top = DOT.split(global.module(), 2)[0];
        return switch (top) {
            case "builtins", "__builtin__" ->
                    BUILTINS.contains(global.name()) || leadsOut(global.name());
            case "functools" -> !global.name().equals(PARTIAL);
            default -> MODULES.contains(top) || leadsOut(global.name());
        };
    }

    /// Whether a qualified name passes through a module that a harmless one has imported
    /// (`logging`'s `os.system`), or what Python keeps behind an object.
    private static boolean leadsOut(String name) {
        String[] parts = DOT.split(name, -1);
        for (String part : parts) {
            boolean behind = parts.length > 1 && part.startsWith("__");
            if (behind || MODULES.contains(UNDERSCORES.matcher(part).replaceFirst(""))) {
                return true;
            }
        }
        return false;
    }
}
