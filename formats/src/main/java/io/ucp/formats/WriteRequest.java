package io.ucp.formats;

import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/// What a format is asked to write: facts of the state, no bytes.
///
/// @param tag the checkpoint's name
/// @param carried everything that is not a parameter; storages of parameters are filled in by
///     reference ([CarriedFile.Content.Elements])
/// @param options of this format, e.g. `compress` -> `zstd:3`; a format refuses those it lacks
public record WriteRequest(
        String tag,
        OptionalLong iteration,
        Origin origin,
        List<ParameterFacts> parameters,
        LayoutHints hints,
        List<CarriedFile> carried,
        Map<String, String> options) {
    public WriteRequest {
        parameters = List.copyOf(parameters);
        carried = List.copyOf(carried);
        options = Map.copyOf(options);
    }
}
