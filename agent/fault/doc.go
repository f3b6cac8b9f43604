// Package fault is the error vocabulary of Sallyport.
//
// Every error that an operator or the instance can see is an [*Error]: it says
// what failed (Op), on what (Subject), why (Err) and what to do next (Hint),
// and its [Kind] decides how the agent goes on. Kind and the effect of an
// action together decide about retries; no code decides by the text of an
// error.
//
// Imports: the standard library only. Anyone may import it.
package fault
