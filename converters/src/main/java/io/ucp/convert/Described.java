package io.ucp.convert;

import io.ucp.bind.Sharding;
import io.ucp.checkpoint.Inventory;
import io.ucp.formats.TargetJob;

import java.util.Optional;

/// A source, the spec that describes it, and the parameters that follow.
///
/// @param specName the file or bundled name, `inferred` where the spec was made from the
///   checkpoint's own metadata, empty where the source holds every parameter whole
/// @param specText the spec in canonical form, empty with it
/// @param sharding the bound spec, absent where the source holds every parameter whole
/// @param held the parameters as the source names them: what ranks of such a job hold
/// @param inventory the parameters after the spec's renames: what forms hold that have each of them
///   whole; the same where it has none
public record Described(
        OpenedSource source,
        String specName,
        String specText,
        Optional<Sharding> sharding,
        Inventory held,
        Inventory inventory) {
    /// The parameters by the names that a target has.
    ///
    /// @param job the ranks that it is for, absent where it holds every parameter whole
    Inventory towards(Optional<TargetJob> job) {
        return job.isPresent() ? held : inventory;
    }
}
