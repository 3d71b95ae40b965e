package io.ucp.formats;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// What a format is asked to write: facts of the state, no bytes.
///
/// @param tag the checkpoint's name
/// @param carried everything that is not a parameter; storages of parameters are filled in by
///   reference ([CarriedFile.Content.Elements])
/// @param foreign files of a job that has other names than the parameters by now: what they say of
///   the optimizer's settings, the schedule and counters still holds, nothing else may be taken
/// @param job the ranks that a rank-sharded form is for; absent for forms that hold every parameter
///   whole
/// @param options of this format, e.g. `compress` -> `zstd:3`; a format refuses those it lacks
public record WriteRequest(
        String tag,
        OptionalLong iteration,
        Origin origin,
        List<ParameterFacts> parameters,
        LayoutHints hints,
        List<CarriedFile> carried,
        List<CarriedFile> foreign,
        Map<String, String> options,
        Optional<TargetJob> job) {
    public WriteRequest {
        foreign = List.copyOf(foreign);
        parameters = List.copyOf(parameters);
        carried = List.copyOf(carried);
        options = Map.copyOf(options);
    }

    /// Of a state that has its names.
    public WriteRequest(
            String tag,
            OptionalLong iteration,
            Origin origin,
            List<ParameterFacts> parameters,
            LayoutHints hints,
            List<CarriedFile> carried,
            Map<String, String> options,
            Optional<TargetJob> job) {
        this(tag, iteration, origin, parameters, hints, carried, List.of(), options, job);
    }

    /// For a form that holds every parameter whole.
    public WriteRequest(
            String tag,
            OptionalLong iteration,
            Origin origin,
            List<ParameterFacts> parameters,
            LayoutHints hints,
            List<CarriedFile> carried,
            Map<String, String> options) {
        this(tag, iteration, origin, parameters, hints, carried, options, Optional.empty());
    }

    /// With other parameters, or the same in another order.
    public WriteRequest with(List<ParameterFacts> others) {
        return new WriteRequest(
                tag, iteration, origin, others, hints, carried, foreign, options, job);
    }
}
