package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;

import java.nio.charset.StandardCharsets;

/// Names of parameters and states become names of folders and files.
final class FolderNames {
    /// Bytes of a name, on every file system in use.
    private static final int LONGEST = 255;

    private FolderNames() {}

    /// @throws RefusedException where a file system cannot hold the parameter under its name
    static void check(ParameterFacts parameter) {
        String name = parameter.name();
        if (!fits(name, 0) || name.equals(UniversalFolder.OPTIMIZER_STATE)) {
            throw refused(name, "the parameter's name");
        }
        for (String state : parameter.states().keySet()) {
            if (!fits(state, 3) || state.equals(StateFolder.STEP)) {
                throw refused(name, "the name of its state '%s'".formatted(state));
            }
        }
    }

    static void checkTag(String tag) {
        if (!fits(tag, UniversalFolder.SUFFIX.length())) {
            throw refused("tag '%s'".formatted(tag), "the checkpoint's name");
        }
    }

    private static boolean fits(String name, int ending) {
        return !name.isEmpty()
                && !name.equals(".")
                && !name.equals("..")
                && name.indexOf('/') < 0
                && name.indexOf('\0') < 0
                && name.getBytes(StandardCharsets.UTF_8).length + ending <= LONGEST;
    }

    private static RefusedException refused(String place, String what) {
        return new RefusedException(
                place.isEmpty() ? "parameter ''" : place.replace('\0', '?'),
                what + " cannot be the name of a folder",
                "a name of at most %d bytes without '/' and NUL that is not '.', '..' or '%s'"
                        .formatted(LONGEST, UniversalFolder.OPTIMIZER_STATE),
                "--to universal keeps names apart from files; or rename it in the spec");
    }
}
