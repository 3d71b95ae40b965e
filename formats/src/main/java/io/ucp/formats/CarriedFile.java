package io.ucp.formats;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.io.ByteSource;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A file of the source as a container of everything that is not a parameter (args, schedulers,
/// counters, RNG, user state). Its tensors that are shards of parameters are named, not held.
///
/// @param path relative to the checkpoint's folder, `/` between parts
/// @param role what the source's format calls it: `model_states`, `optimizer`, `layer`, `side`;
///   behind [#BEFORE_RENAME] where its object has other names than the parameters have by now
/// @param file the bytes as they lie on disk, absent where the file is not on disk in its own form
///   (it was taken into the universal format)
/// @param root the pickled object, absent for files that are not torch files (`config.json`)
/// @param storages of `root`, by key
public record CarriedFile(
        String path,
        String role,
        Coordinate at,
        Optional<ByteSource> file,
        Optional<PickleValue> root,
        Map<String, Storage> storages) {
    /// Put before the role of files of a renamed state: a form that would hand them to a framework
    /// beside the new names must not take them for its own.
    public static final String BEFORE_RENAME = "before_rename:";

    /// The role of files that only say how a form held the weights (headers, an index): without
    /// them nothing of the state is lost.
    public static final String FORM = "form";

    public CarriedFile {
        storages = Map.copyOf(storages);
    }

    /// The role, whether the state was renamed or not.
    public String roleBefore() {
        return role.startsWith(BEFORE_RENAME) ? role.substring(BEFORE_RENAME.length()) : role;
    }

    /// With `None` under a key of the root, and what is left of the storages; empty where the root
    /// has nothing there.
    public Optional<CarriedFile> withNone(String key, Map<String, Storage> left) {
        return root.flatMap(PickleValue::asDict)
                .filter(dict -> dict.find(key).filter(v -> !v.isNone()).isPresent())
                .map(dict -> dict.with(key, PyNone.NONE))
                .map(d -> new CarriedFile(path, role, at, Optional.empty(), Optional.of(d), left));
    }

    /// The bytes behind the tensors of a torch file.
    ///
    /// @param size bytes
    /// @param content what fills it; bytes that nothing fills are zero
    public record Storage(long size, List<Content> content) {
        public Storage {
            content = List.copyOf(content);
        }
    }

    /// Part of a storage, at `offset` bytes from its start.
    public sealed interface Content {
        long offset();

        /// Bytes of a file.
        record Raw(long offset, ByteSource source, long sourceOffset, long size)
                implements Content {}

        /// Elements of a parameter's state, dense from `offset`.
        record Elements(long offset, Elementwise of) implements Content {}
    }
}
