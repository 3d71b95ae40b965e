package io.ucp.formats.universal;

import io.ucp.formats.Coordinate;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.tensor.DType;
import io.ucp.tensor.TensorDigest;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/// What `manifest.json` says.
///
/// @param digest the name of the algorithm of the digests
record Manifest(
        String tag,
        OptionalLong iteration,
        String digest,
        Origin origin,
        LayoutHints hints,
        List<ArrowFile> files,
        List<Held> parameters,
        List<Carried> carried) {
    static final String FILE = "manifest.json";
    static final String FORMAT = "ucp-universal";
    static final int VERSION = 1;
    static final String DIGEST = TensorDigest.NAME;

    Manifest {
        files = List.copyOf(files);
        parameters = List.copyOf(parameters);
        carried = List.copyOf(carried);
    }

    /// @param size bytes, or -1 for a compressed file, whose size the manifest's writer does not
    ///   know
    record ArrowFile(
            String path,
            String state,
            DType dtype,
            Compression compression,
            int batches,
            long size) {}

    /// @param places by state
    record Held(ParameterFacts facts, Map<String, Place> places) {
        Held {
            places = Collections.unmodifiableMap(new LinkedHashMap<>(places));
        }
    }

    /// Where a tensor lies.
    ///
    /// @param offset of the body of its first batch in the file, or -1 in a compressed file
    record Place(String file, int firstBatch, int batches, long offset) {}

    /// @param path in the source
    /// @param archive relative to the checkpoint's folder
    record Carried(String path, String role, Coordinate at, String archive) {}
}
