package io.ucp.checkpoint;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.Origin;

import java.util.List;
import java.util.Optional;

/// All parameters of a source. Every element of every copy of every state is covered exactly once;
/// nothing of the source is unaccounted for: it is here, in `carried`, or named in `findings`.
///
/// @param parameters in the source's own order
/// @param carried the source's files with the storages of parameters bound by reference
/// @param origin what a universal form is to remember
public record Inventory(
        CheckpointIndex index,
        List<Parameter> parameters,
        List<CarriedFile> carried,
        Origin origin,
        List<Finding> findings) {
    public Inventory {
        parameters = List.copyOf(parameters);
        carried = List.copyOf(carried);
        findings = List.copyOf(findings);
    }

    public Optional<Parameter> find(String name) {
        return parameters.stream().filter(p -> p.name().equals(name)).findFirst();
    }
}
