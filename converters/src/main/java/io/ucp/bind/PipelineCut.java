package io.ucp.bind;

import io.ucp.formats.SavedPipeline;
import io.ucp.layout.ImpossibleLayoutException;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// Where a pipeline is cut: as it is asked for; else where as many stages were, as they were; else
/// by the method of the job that saved it, which is `type:transformer` where it names none, as of
/// Megatron-DeepSpeed.
///
/// @param parts first module of each stage, then the number of modules
/// @param note what a user may not expect of it
record PipelineCut(List<Integer> parts, Optional<String> note) {
    private static final String USUAL = "type:transformer";
    private static final String ANEW = "--partition or --stages cut them otherwise";

    /// @param before stages of the job that saved the state
    /// @param said layers of each stage by a spec
    /// @throws ImpossibleLayoutException for stages that the model cannot have
    static PipelineCut of(
            PipelineModules modules,
            SavedPipeline saved,
            int before,
            int stages,
            TargetRequest request,
            Optional<List<Integer>> said) {
        if (request.stages().isPresent()) {
            return said(modules.listed("--stages", request.stages().get(), stages));
        }
        if (stages == 1) {
            return said(List.of(0, Integer.MAX_VALUE));
        }
        if (request.partition().isPresent()) {
            return said(modules.parts(stages, request.partition().get()));
        }
        Optional<List<Integer>> own =
                before > 1 ? modules.held(saved.stages(), before) : Optional.empty();
        if (said.isPresent()) {
            boolean kept =
                    stages == before
                            && own.map(modules::counts).filter(said.get()::equals).isPresent();
            return said(kept ? own.get() : modules.listed("the spec's stages", said.get(), stages));
        }
        if (own.isEmpty()) {
            return anew(modules, saved, before, stages);
        }
        return new Known(modules, saved, before, own.get()).cut(stages);
    }

    /// A pipeline whose stages are known.
    ///
    /// @param own where the source is cut
    private record Known(
            PipelineModules modules, SavedPipeline saved, int before, List<Integer> own) {
        PipelineCut cut(int stages) {
            PipelineCut wanted =
                    stages == before ? said(own) : anew(modules, saved, before, stages);
            if (isCutBy(method())) {
                return wanted;
            }
            String note =
                    stages == before
                            ? "pipeline stages stay as they are in the source, %s, which is not how %s cuts%s; %s"
                                    .formatted(modules.described(own), method(), usually(), ANEW)
                            : "pipeline stages are cut by %s, %s; the source's own, %s, were not cut so%s; %s"
                                    .formatted(
                                            method(),
                                            modules.described(wanted.parts),
                                            modules.described(own),
                                            otherwise(),
                                            ANEW);
            return new PipelineCut(wanted.parts, Optional.of(note));
        }

        private String method() {
            return saved.method().orElse(USUAL);
        }

        private boolean isCutBy(String method) {
            return by(modules, before, method).filter(p -> modules.same(p, own)).isPresent();
        }

        /// Where the method would have cut.
        private String usually() {
            return by(modules, before, method())
                    .map(parts -> " (%s)".formatted(modules.described(parts)))
                    .orElse("");
        }

        /// The method that would have cut as the source is.
        private String otherwise() {
            return Stream.of("uniform", "parameters", USUAL)
                    .filter(this::isCutBy)
                    .findFirst()
                    .map(", but as %s cuts"::formatted)
                    .orElse("");
        }
    }

    /// By the job's own method.
    private static PipelineCut anew(
            PipelineModules modules, SavedPipeline saved, int before, int stages) {
        String method = saved.method().orElse(USUAL);
        List<Integer> parts = modules.parts(stages, method);
        if (stages == before) {
            return new PipelineCut(
                    parts,
                    Optional.of(
                            "the source does not say which of its %d pipeline stages held what: they are cut by %s, %s; %s"
                                    .formatted(before, method, modules.described(parts), ANEW)));
        }
        return new PipelineCut(
                parts,
                saved.method()
                        .map(
                                m ->
                                        "pipeline stages are cut by %s, as the arguments of the source's job say, %s; %s"
                                                .formatted(m, modules.described(parts), ANEW)));
    }

    private static PipelineCut said(List<Integer> parts) {
        return new PipelineCut(parts, Optional.empty());
    }

    /// As a method cuts the model, where it can.
    private static Optional<List<Integer>> by(PipelineModules modules, int stages, String method) {
        try {
            return Optional.of(modules.parts(stages, method));
        } catch (ImpossibleLayoutException _) {
            return Optional.empty();
        }
    }
}
