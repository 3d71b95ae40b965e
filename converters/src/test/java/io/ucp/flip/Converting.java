package io.ucp.flip;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Map;

/// A damaged checkpoint as `convert` sees it: refused, or its output is the one of the whole
/// checkpoint. What is needed of the source is less than what `verify` reads.
final class Converting {
    private Converting() {}

    /// @param verified the same as `verify` looks at it
    /// @param at folder for outputs
    static Damaged of(Damaged verified, Path at) throws IOException {
        Path source = verified.folder();
        // Another form than its own, which would be copied file by file.
        String to = verified.name().startsWith("universal") ? "deepspeed-universal" : "universal";
        Map<String, ByteBuffer> whole =
                CutOff.contents(
                        Checkpoints.converted(source, to, Map.of(), at.resolve("converted")));
        Path out = at.resolve("out");
        return new Damaged(
                "converting " + verified.name(),
                source,
                verified.unsealed(),
                () -> {
                    CutOff.remove(out);
                    Checkpoints.converted(source, to, Map.of(), out);
                    return CutOff.contents(out).equals(whole)
                            ? new Outcome(Outcome.Kind.HARMLESS, "")
                            : new Outcome(Outcome.Kind.RECORDED, "other bytes than without");
                });
    }
}
