// Package demo runs the main job on embedded defaults: a simulated instance, an
// agent in a process of its own, and a realistic day of work between them.
//
// What came of it is counted on the instance's side: jobs with an effect append
// their id to a file, and the instance's own records tell which outputs were
// answered. The agent's book-keeping is not asked. The crash test and the
// benchmarks of the whole agent use the same pieces.
//
// Imports: agent/simulator, agent/control, agent/fault.
package demo
