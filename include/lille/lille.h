#pragma once

/// The whole public interface of the library.

#include "lille/batch.h"
#include "lille/chat.h"
#include "lille/convert.h"
#include "lille/defaults.h"
#include "lille/diff.h"
#include "lille/divergence.h"
#include "lille/error.h"
#include "lille/generate.h"
#include "lille/hub.h"
#include "lille/logits_processors.h"
#include "lille/model.h"
#include "lille/model_args.h"
#include "lille/overflow.h"
#include "lille/perplexity.h"
#include "lille/prompt_cache.h"
#include "lille/random.h"
#include "lille/sampler.h"
#include "lille/tokenizer.h"
#include "lille/verify.h"
#include "lille/version.h"
