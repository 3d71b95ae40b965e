package io.ucp.bind;

import io.ucp.formats.ParameterFacts;
import io.ucp.layout.Replica;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.List;
import java.util.Map;

/// A parameter with every rule of the spec resolved for one mesh.
///
/// @param name global
/// @param shape whole, padding included
/// @param realShape without padding
/// @param split summary for formats that name it
/// @param shards one for each model-parallel coordinate that holds some of it
/// @param copies by the number that shards name
/// @param own states that have a layout of their own, other than `shards` and `copies`
/// @param casts state -> dtype in the target
/// @param aliases other names it is tied to
/// @param rule the spec's text of the rule that decided, for messages (`line 12: param "..."`)
public record BoundParameter(
        String name,
        Shape shape,
        Shape realShape,
        ParameterFacts.Split split,
        List<Shard> shards,
        List<Replica> copies,
        Map<String, StateLayout> own,
        boolean frozen,
        Map<String, DType> casts,
        List<String> aliases,
        String rule) {
    public BoundParameter {
        shards = List.copyOf(shards);
        copies = List.copyOf(copies);
        own = Map.copyOf(own);
        casts = Map.copyOf(casts);
        aliases = List.copyOf(aliases);
    }

    /// The shards of a state.
    public List<Shard> shards(String state) {
        StateLayout layout = own.get(state);
        return layout == null ? shards : layout.shards();
    }

    /// The copies of a state.
    public List<Replica> copies(String state) {
        StateLayout layout = own.get(state);
        return layout == null ? copies : layout.copies();
    }
}
