package io.ucp.bind;

import io.ucp.mesh.Mesh;

import java.util.List;
import java.util.Map;

/// A bound spec: where every element of every parameter lies on a given mesh.
///
/// @param mesh outermost first, with the products that the spec names
/// @param parameters in the order in which the checkpoint names them
/// @param flatten state -> how data parallelism cuts it: absent for states that are held whole
/// @param dropped local names that the spec drops, with the rule that does
/// @param renames what the parameters become in forms that hold each of them whole
public record Sharding(
        Mesh mesh,
        List<BoundParameter> parameters,
        Map<String, Flatten> flatten,
        Map<String, String> dropped,
        List<Renamed> renames) {
    public Sharding {
        parameters = List.copyOf(parameters);
        flatten = Map.copyOf(flatten);
        dropped = Map.copyOf(dropped);
        renames = List.copyOf(renames);
    }

    /// @param axis the data-parallel axis
    /// @param each true: every parameter on its own (ZeRO-3); false: a whole group end to end
    public record Flatten(String axis, boolean each) {}
}
