package io.ucp.formats;

import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.ServiceLoader;
import java.util.Set;

/// One kind of checkpoint: found on disk, indexed, and (where it can be) laid out for writing. A
/// service: a new format is one new package and one line in `META-INF/services`.
public interface CheckpointFormat {
    /// As in `--to` and `--from`: `deepspeed`, `deepspeed-universal`, `universal`.
    String name();

    /// The checkpoints of this format at `path` (a root or a checkpoint's own folder), the one the
    /// framework itself would take first. Looks at names and small pointers only; empty where there
    /// is none.
    List<Candidate> find(Path path) throws IOException;

    /// Reads what the files say, not their tensor data.
    ///
    /// @throws io.ucp.io.MalformedFileException where a file is not what it should be
    /// @throws IncompleteCheckpointException where a rank's file is missing or files contradict
    ///   each other
    CheckpointIndex index(Candidate candidate) throws IOException;

    /// What is damaged in the files of an indexed checkpoint that reading it for conversion would
    /// not notice (checksums that the container keeps). Reads every byte.
    default List<Finding> damage(CheckpointIndex index) throws IOException {
        return List.of();
    }

    /// What the files keep the CRC-32 of, so that bytes that are read for a conversion can be held
    /// against it on the way.
    ///
    /// @param read the sources that the conversion reads, of the checkpoint of `index`
    default List<Checksummed> checksums(CheckpointIndex index, Collection<ByteSource> read)
            throws IOException {
        return List.of();
    }

    /// Which format is taken where several find something in one folder: the lowest, as the
    /// framework that owns the folder would.
    default int precedence() {
        return 50;
    }

    /// Whether the mark that a checkpoint is finished lies in its own folder, and [#find] finds
    /// those alone that have it; else it is the pointer beside them.
    default boolean isMarkedInside() {
        return false;
    }

    /// The options that [#layout] takes, as in [WriteRequest#options].
    default Set<String> options() {
        return Set.of();
    }

    /// How a job of this framework had cut its model into stages, by the files of it that were
    /// carried along.
    default SavedPipeline pipeline(List<CarriedFile> carried) {
        return SavedPipeline.NONE;
    }

    /// Whose names parameters have in this format: [#HUGGING_FACE], or the framework that the
    /// bundled families are named after (`megatron_core`); empty where it takes any names.
    default String naming() {
        return "";
    }

    /// The names that models have in transformers.
    String HUGGING_FACE = "hf";

    /// The files that hold the state, to the byte.
    ///
    /// @throws RefusedException where this format has no form for it
    TargetTree layout(WriteRequest request);

    /// The pointer of a candidate in a root whose pointer file is missing: where there are several,
    /// the user must choose.
    String NO_POINTER = "(no latest)";

    /// @param pointer what led here (`latest`, `latest_universal`), empty for a folder named
    ///   directly
    record Candidate(String format, Path folder, String tag, String pointer) {}

    /// All formats on the class path.
    static List<CheckpointFormat> all() {
        return ServiceLoader.load(CheckpointFormat.class).stream()
                .map(ServiceLoader.Provider::get)
                .toList();
    }
}
