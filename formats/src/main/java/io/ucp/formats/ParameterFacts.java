package io.ucp.formats;

import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/// What is known of a parameter apart from its bytes.
///
/// @param name global
/// @param shape whole, padding rows included
/// @param realShape without padding; equal to `shape` where there is none
/// @param states state name -> dtype, tensors of the parameter's shape
/// @param scalars state name -> value (`step`)
/// @param split how the source cut it over tensor-parallel ranks
/// @param trainable false for frozen parameters and buffers
/// @param buffer true for buffers
/// @param optimizerGroup number of its optimizer group, -1 where it has none
/// @param aliases other names of the same parameter (tied)
/// @param digests state name -> digest of its real elements, where the format keeps one; of a
///   padded parameter also [#withPadding] of the name -> digest of all elements
/// @param notes odd things to repeat to the user, e.g. copies that differed
public record ParameterFacts(
        String name,
        Shape shape,
        Shape realShape,
        Map<String, DType> states,
        Map<String, Scalar> scalars,
        Split split,
        boolean trainable,
        boolean buffer,
        int optimizerGroup,
        List<String> aliases,
        Map<String, String> digests,
        List<String> notes) {
    private static final String PADDING = " with padding";

    public ParameterFacts {
        states = Collections.unmodifiableMap(new LinkedHashMap<>(states));
        scalars = Collections.unmodifiableMap(new LinkedHashMap<>(scalars));
        aliases = List.copyOf(aliases);
        digests = Map.copyOf(digests);
        notes = List.copyOf(notes);
    }

    /// The state whose values `state` has: itself where it is held; the model's own copy (`weight`)
    /// and the master (`fp32`) stand in for each other. Frameworks that train in fp32 keep one of
    /// them; a `weight` of fewer bits is made by rounding, a master widened from one is as exact as
    /// that.
    public Optional<String> heldAs(String state) {
        if (states.containsKey(state)) {
            return Optional.of(state);
        }
        return Optional.ofNullable(
                        switch (state) {
                            case "weight" -> "fp32";
                            case "fp32" -> "weight";
                            default -> null;
                        })
                .filter(states::containsKey);
    }

    /// What the optimizer keeps beside the values themselves (`weight`, `fp32`): its tensors, in
    /// alphabetical order.
    public SortedSet<String> optimizerStates() {
        SortedSet<String> names = new TreeSet<>(states.keySet());
        names.remove("weight");
        names.remove("fp32");
        return names;
    }

    /// What the digest of a state is named that counts its padding too: it says what lies in the
    /// files, and depends on the layout that the padding is for.
    public static String withPadding(String state) {
        return state + PADDING;
    }

    /// The state that a digest is of.
    public static String digestedState(String name) {
        return name.endsWith(PADDING) ? name.substring(0, name.length() - PADDING.length()) : name;
    }

    /// Those of digests by name that do not depend on a layout.
    public static SortedMap<String, String> ofRealElements(Map<String, String> digests) {
        SortedMap<String, String> real = new TreeMap<>(digests);
        real.keySet().removeIf(name -> name.endsWith(PADDING));
        return real;
    }

    /// The same in another group of the optimizer.
    public ParameterFacts inGroup(int group) {
        return new ParameterFacts(
                name, shape, realShape, states, scalars, split, trainable, buffer, group, aliases,
                digests, notes);
    }

    public boolean padded() {
        return !shape.equals(realShape);
    }

    /// How a parameter was cut over tensor-parallel ranks, in the terms of DeepSpeed's universal
    /// metadata (`cat_dim`, `param_n_sub_params`, `sub_param_shape`, `vocab_tensor`).
    ///
    /// @param dim the cut dimension, 0 where none is
    /// @param parts for [SplitKind#FUSED]: extents of the named parts along `dim`
    /// @param subShape for a fused parameter described by `SubparamShape`: per dimension its
    ///   extents; empty for two equal sub-params
    /// @param vocabulary rows past the real vocabulary are padding
    /// @param experts `ep_num_experts`: how many experts lie along dimension 0, which
    ///   expert-parallel ranks share in equal parts; empty where nothing says that it is experts
    public record Split(
            SplitKind kind,
            int dim,
            List<Long> parts,
            List<List<Long>> subShape,
            boolean vocabulary,
            OptionalLong experts) {
        public static final Split UNKNOWN =
                new Split(SplitKind.UNKNOWN, 0, List.of(), List.of(), false);

        public Split {
            parts = List.copyOf(parts);
            subShape = subShape.stream().map(List::copyOf).toList();
        }

        /// Of no experts.
        public Split(
                SplitKind kind,
                int dim,
                List<Long> parts,
                List<List<Long>> subShape,
                boolean vocabulary) {
            this(kind, dim, parts, subShape, vocabulary, OptionalLong.empty());
        }

        /// The same of so many experts along dimension 0.
        public Split ofExperts(long count) {
            return new Split(kind, dim, parts, subShape, vocabulary, OptionalLong.of(count));
        }
    }

    public enum SplitKind {
        /// One rank, and nothing says how it would be cut.
        UNKNOWN,
        REPLICATED,
        AVERAGED,
        SHARDED,
        FUSED
    }
}
