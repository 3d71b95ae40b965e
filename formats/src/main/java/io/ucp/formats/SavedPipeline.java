package io.ucp.formats;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// How the job that saved a checkpoint had cut its model into pipeline stages.
///
/// @param stages parameter, by the name that its job has for it -> the stages that held it; empty
///   where the files do not say
/// @param method that the job's own arguments name, e.g. `type:transformer|embedding`
public record SavedPipeline(Map<String, Set<Integer>> stages, Optional<String> method) {
    public static final SavedPipeline NONE = new SavedPipeline(Map.of(), Optional.empty());

    public SavedPipeline {
        Map<String, Set<Integer>> copy = new LinkedHashMap<>();
        stages.forEach((name, held) -> copy.put(name, Set.copyOf(held)));
        stages = Collections.unmodifiableMap(copy);
    }
}
