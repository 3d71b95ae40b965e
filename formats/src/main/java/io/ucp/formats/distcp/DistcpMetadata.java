package io.ucp.formats.distcp;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// What `.metadata` says: every key of the flat state dict, and where it lies.
///
/// @param entries by key, in the order of the file; the chunks of a tensor tile it, and no two
///   items share a byte
/// @param planner key -> path of the key in the nested state dict (`planner_data`), absent where it
///   was saved without flattening
/// @param extra `mcore_data` of Megatron-Core 0.12, absent elsewhere
public record DistcpMetadata(
        Map<String, StateDictEntry> entries, Optional<PyDict> planner, Optional<PyDict> extra) {
    public static final String FILE = ".metadata";

    public DistcpMetadata {
        entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
    }

    /// @param folder the checkpoint's own
    /// @throws io.ucp.io.MalformedFileException where it is not what torch writes, or does not add
    ///   up
    public static DistcpMetadata read(Path folder) throws IOException {
        return MetadataReader.read(folder.resolve(FILE));
    }

    /// The pickled object.
    public PickleValue tree() {
        return MetadataWriter.tree(this);
    }
}
