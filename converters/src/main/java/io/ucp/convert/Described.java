package io.ucp.convert;

import io.ucp.bind.Sharding;
import io.ucp.checkpoint.Inventory;

import java.util.Optional;

/// A source, the spec that describes it, and the parameters that follow.
///
/// @param specName the file or bundled name, `inferred` where the spec was made from the
///   checkpoint's own metadata, empty where the source holds every parameter whole
/// @param specText the spec in canonical form, empty with it
/// @param sharding the bound spec, absent where the source holds every parameter whole
/// @param held the parameters as the source names them: what ranks of such a job hold
/// @param renamed the parameters after the renames of the spec that was named, where it has some
/// @param inventory the parameters under the names that were asked for: what forms hold that have
///   each of them whole
public record Described(
        OpenedSource source,
        String specName,
        String specText,
        Optional<Sharding> sharding,
        Inventory held,
        Optional<Inventory> renamed,
        Inventory inventory) {
    /// Whether these are the parameters as the source names them: the very inventory, since
    /// comparing two of them costs as much as making one.
    @SuppressWarnings("ReferenceEquality")
    boolean isHeld(Inventory other) {
        return other == held;
    }
}
