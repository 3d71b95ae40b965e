package io.ucp.parity;

import java.util.List;
import java.util.stream.Stream;

/// What is known of a protected checkpoint: the content of `manifest.json`.
///
/// @param format of the checkpoint, as `--from` names it
/// @param folder the checkpoint's own folder, relative to the protected one; empty where it is that
/// @param group as `--group` had it; `files` for none
/// @param blockSize bytes, a multiple of [PlaneSums#GRAIN]
public record ParityManifest(
        String format,
        String tag,
        String folder,
        String group,
        int data,
        int parity,
        int blockSize,
        List<Pointer> pointers,
        List<ParitySet> sets) {
    static final String FILE = "manifest.json";

    /// Of the code, as the manifest names it.
    static final String CODE = "cauchy-gf256-11d-planes64k";

    static final int LARGEST_BLOCK = 1 << 24;

    public ParityManifest {
        pointers = List.copyOf(pointers);
        sets = List.copyOf(sets);
    }

    /// A small file that names the checkpoint, such as `latest`. It changes with the next save and
    /// is not protected; where it is missing, this is what it said.
    ///
    /// @param path relative to the protected folder
    public record Pointer(String path, String text) {}

    /// Of the checkpoint.
    Stream<StoredFile> files() {
        return sets.stream().flatMap(s -> s.members().stream()).flatMap(m -> m.files().stream());
    }

    /// Of the parity.
    Stream<StoredFile> parityFiles() {
        return sets.stream().flatMap(s -> s.parity().stream());
    }

    List<Stripes> stripes() {
        return sets.stream().map(set -> new Stripes(set, blockSize)).toList();
    }
}
