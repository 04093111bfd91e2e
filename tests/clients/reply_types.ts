// The types of npm's `openai` that replies have, and what they have beyond: docs/SERVER.md names it.
import type OpenAI from 'openai';

export type ChatReply = OpenAI.Chat.Completions.ChatCompletion;
export type ChatPiece = OpenAI.Chat.Completions.ChatCompletionChunk;
export type CompletionReply = OpenAI.Completions.Completion;
export type EmbeddingReply = OpenAI.Embeddings.CreateEmbeddingResponse;
export type ModelReply = OpenAI.Models.Model & { max_model_len: number };
export interface ModelsReply {
  object: 'list';
  data: ModelReply[];
}
export interface ErrorReply {
  error: OpenAI.ErrorObject;
}
